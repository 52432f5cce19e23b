"""What stores use of a database within a transaction.

connection.py  Connection: runs statements of either kind of database, by one spelling
sql.py         composes statements of parts, whose values are bound and never part of the text
"""
