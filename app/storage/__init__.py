"""Where data is stored.

database/      the SQL database of keys, ledger and batches
shared_state/  state that all workers share, and that may be lost
"""
