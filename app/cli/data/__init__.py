"""The commands for the data of years.

backup     copy the database to a file, and put it back
outbox     tell other systems of settled requests
prune      delete rows that are older than the settings keep them
retention/  which rows those are, and how they are deleted a few at a time
reconcile  compare with OpenAI's figures
schema     check the database's tables, and bring them up to date
"""
