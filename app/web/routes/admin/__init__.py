"""The views of administration in the API, for keys with the scope `admin`.

limits.py  /api/limits
"""
