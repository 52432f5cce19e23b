"""The views of the administration API, for keys with the scope `admin`.

limits.py  /api/limits
"""
