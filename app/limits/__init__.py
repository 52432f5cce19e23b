"""The limits of a user, a tenant or an address: rates, concurrency and budgets.

account_names.py      the names of the accounts
accounts.py           AccountLimits: which accounts a request counts for, and the limits of each
own_limits.py         OwnLimits: the limits of a single account, which override those of the settings
stored_limits.py      StoredLimits: stores them in the database, with a copy in each process
tables.py             their database tables
account_lookup.py     finds an account by its name, to show or change its limits
limit_status.py       LimitStatus: the limits that apply to a caller, and what remains of them
rate_limiter.py       RateLimiter: requests or tokens per account, in a sliding window over all workers
token_rate_limit.py   TokenRateLimit: reserves a call's tokens in the rate limiter, and releases the unused ones
concurrency.py        ConcurrencyLimit: the maximum number of concurrent streams
budgets.py            Budget: the maximum spending of an account per day or month
meter.py              Meter: reserves the cost of each attempt in the ledger, and settles it when the call ends
hosted_calls.py       the cost of calls of tools that run at OpenAI
batch_counting.py     counts all requests of a batch in the rate limits
"""
