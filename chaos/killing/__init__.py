"""A storm of SIGKILLs: workers die amid calls, and what the ledger charged is compared with what the upstream billed.

`__main__.py` runs it, `upstream.py` bills what it writes, `load.py` asks and kills, `balance.py` compares.
"""
