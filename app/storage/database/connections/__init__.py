"""Where a database is, its open connections, and what stores use of one of them within a transaction.

url.py           parse_url() reads DATABASE_URL
pool.py          Pool: keeps connections open from one use to the next
connection.py    Connection: runs statements of either kind of database, by one spelling
group_commit.py  GroupCommit: lets the statements of requests that are ready at once share a transaction
sql.py           composes statements of parts, whose values are bound and never part of the text
"""
