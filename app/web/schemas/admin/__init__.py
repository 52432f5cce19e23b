"""The bodies of administration in the API: limits.py."""
