"""How much a user, a tenant or an address may use: rates, concurrency, budgets.

account_names.py      how the accounts are named
accounts.py           AccountLimits: which accounts a request counts for, and the limits of each
own_limits.py         OwnLimits: what one account has instead of the limits of the settings
stored_limits.py      StoredLimits: these in the database, with a copy in each process
tables.py             their tables
account_lookup.py     finds the account that somebody names who wants to change its limits
standing.py           Standing: what holds for a caller, and what is left of it
rate_limiter.py       RateLimiter: requests or tokens per window, in a sliding window over all workers
token_rate_limit.py   TokenRateLimit: reserves a call's tokens in the rate limiter, and releases the unused ones
concurrency.py        ConcurrencyLimit: how many streams run at the same time
budgets.py            Budget: what one account may spend in a day or a month
meter.py              Meter: reserves the cost of each attempt in the ledger, and settles it when the call ends
hosted_calls.py       the cost of calls of tools that run at OpenAI
batch_counting.py     counts a batch in the rates as all of its requests
"""
