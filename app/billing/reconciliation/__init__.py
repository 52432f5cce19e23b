"""Compares the ledger's days with the usage and costs that OpenAI reports, and attributes the differences.

organization.py  fetches OpenAI's usage and costs, with an admin key
ledger_side.py   reads the ledger's days, and how much of them is uncertain
compare.py       Drift: the difference for a day and model, and its causes
"""
