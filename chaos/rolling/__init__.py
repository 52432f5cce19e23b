"""A rolling reload: two nodes behind Nginx get new workers one after the other, under streams and other requests.

`__main__.py` runs it and says what went wrong, `site.py` starts nodes and Nginx, `upstream.py` answers slowly,
`load.py` asks.
"""
