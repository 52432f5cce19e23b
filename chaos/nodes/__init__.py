"""Two nodes over PostgreSQL and Redis behind Nginx: `make load` breaks them, `make soak` only loads them.

`network.py` gives each node a network namespace, `site.py` starts them, `load.py` asks and notes what came, `faults.py`
kills and unplugs a node and freezes the stores, `soak.py` looks whether anything grows, `__main__.py` runs either. The
upstream and the balance of the money are those of `chaos.killing`.
"""
