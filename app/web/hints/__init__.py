"""Hints for whoever sent a body that is refused.

- `field_names`: the field that was meant by one that does not exist.
"""
