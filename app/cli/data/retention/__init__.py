"""Deletes the rows that are older than the settings keep them, a few at a time.

rules.py    which rows of which table
pruning.py  finds and deletes them
"""
