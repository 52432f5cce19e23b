"""The ledger's totals in formats of other programs.

focus.py  FOCUS 1.2, which programs for the cost of clouds read
"""
