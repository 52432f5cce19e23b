"""Delete the rows that are older than the settings retain them, in small batches.

rules.py    which rows of which table are deleted
pruning.py  finds and deletes them
"""
