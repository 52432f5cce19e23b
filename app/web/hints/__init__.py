"""Hints for callers whose request body is refused.

- `field_names`: suggests the field that the caller probably meant by an unknown one.
"""
