"""Request and response bodies of the administration API: limits.py."""
