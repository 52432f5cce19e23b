"""Compares the ledger's days with what OpenAI says of them, and says where a difference may come from.

organization.py  reads OpenAI's usage and costs, with an admin key
ledger_side.py   reads the ledger's days, and how much of them is uncertain
compare.py       Drift: the difference of a day and model, and its parts
"""
