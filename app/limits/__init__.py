"""How much a user, a tenant or an address may use: rates, concurrency, budgets.

AccountLimits   accounts.py: which accounts a request counts for, and the limits of each
Budget          budgets.py: what one account may spend in a day or a month
"""
