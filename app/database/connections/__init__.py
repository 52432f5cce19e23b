"""What stores use of a database to run their statements.

group_commit.py  GroupCommit: lets the statements of requests that are ready at once share a transaction
"""
