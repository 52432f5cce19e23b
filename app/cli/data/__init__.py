"""The commands that maintain the database.

backup      copy the database to a file, and restore it
outbox      deliver settled requests to other systems
prune       delete rows that are older than the settings retain them
retention/  which rows those are, and how they are deleted in small batches
reconcile   compare the ledger with OpenAI's figures
schema      check the database's tables, and upgrade them
"""
