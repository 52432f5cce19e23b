"""Connections to a database: its URL, the pool, and running statements within a transaction.

url.py           parse_url() parses DATABASE_URL
pool.py          Pool: open connections that are reused
connection.py    Connection: runs statements with the same placeholders on both kinds of database
group_commit.py  GroupCommit: statements of several requests share a transaction
sql.py           builds statements; values are bound, never part of the text
"""
