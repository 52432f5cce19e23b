"""A rolling reload or restart: two nodes behind Nginx begin anew one after the other, under streams and other requests.

`__main__.py` runs it and says what went wrong, `site.py` starts nodes and Nginx, `upstream.py` answers slowly,
`load.py` asks.
"""
