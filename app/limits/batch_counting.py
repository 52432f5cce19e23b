"""Count a batch in the request rates and token rates as what it is: all of its requests, each with its maximum of tokens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from app.limits.rate_limiter import Quota, Rate, RateLimiter
from app.limits.token_rate_limit import TokenRateLimit
from app.problems import InvalidRequest


@contextmanager
def count_batch(
    limiter: RateLimiter,
    request_rates: Mapping[str, Rate],
    token_rates: Mapping[str, Rate],
    *,
    requests: int,
    count_tokens: Callable[[], int],
) -> Iterator[Quota | None]:
    """Count a batch while it is submitted, all or nothing. What was counted is given back if that fails.

    What it did not use is not given back when it ends, hours later: by then most windows are over.

    Args:
        limiter: where the rates are counted.
        request_rates: of each account. They have counted the request that submits the batch, as one of them.
        token_rates: of each account.
        requests: number of requests in the batch.
        count_tokens: returns the maximum number of tokens of all requests; called only if there are token rates.

    Yields:
        the smallest remaining quota of requests; None if no more were counted.

    Raises:
        InvalidRequest: an account could never send so much at once.
        RateLimited: an account has too little left.
    """
    _check_fits(requests, request_rates, "requests")
    tokens = count_tokens() if token_rates else 0
    _check_fits(tokens, token_rates, "tokens")
    at, quota = time.time(), None
    if requests > 1:
        # Counted anew with all the others, so that a batch that is refused now fits later.
        limiter.release(request_rates, 1, taken_at=at)
        quota = limiter.admit(request_rates, requests)
    reserved = TokenRateLimit(limiter, token_rates)
    try:
        reserved.reserve(tokens)
        yield quota
    except BaseException:
        reserved.release_unused(0)
        if requests > 1:
            limiter.release(request_rates, requests - 1, taken_at=at)
        raise


def _check_fits(amount: int, rates: Mapping[str, Rate], unit: str) -> None:
    """Raise InvalidRequest if a rate can never admit the amount, however long its account waits."""
    for rate in rates.values():
        if amount > rate.amount > 0:  # an account that may do nothing is refused when it is counted
            raise InvalidRequest(
                f"this batch may use {amount:,} {unit}, and no more than {rate.amount:,} are allowed in"
                f" {rate.window_s:,} s: send smaller batches.",
                field="requests",
            )
