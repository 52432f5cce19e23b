"""The ledger's totals in formats of other programs.

focus.py  FOCUS 1.2, which cloud-cost tools read
"""
