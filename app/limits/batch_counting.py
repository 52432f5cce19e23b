"""Counts all requests of a batch, with their maximum numbers of tokens, in the request rates and token rates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from app.limits.rate_limiter import Quota, Rate, RateLimiter
from app.limits.token_rate_limit import TokenRateLimit
from app.problems import InvalidRequest
from app.runtime import clock


@contextmanager
def count_batch(
    limiter: RateLimiter,
    request_rates: Mapping[str, Rate],
    token_rates: Mapping[str, Rate],
    *,
    requests: int,
    count_tokens: Callable[[], int],
) -> Iterator[Quota | None]:
    """Count a batch while it is submitted, completely or not at all. If the submission fails, release the amounts.

    Unused tokens are not released when the batch ends, hours later: most windows have ended by then.

    Args:
        limiter: counts the rates.
        request_rates: the request rate of each account. The request that submits the batch is counted already.
        token_rates: the token rate of each account.
        requests: number of requests in the batch.
        count_tokens: returns the maximum number of tokens of all requests; called only if there are token rates.

    Yields:
        the smallest remaining quota of requests; None if no more requests were counted.

    Raises:
        InvalidRequest: the batch exceeds an account's limit for a whole window.
        RateLimited: an account has too little left.
    """
    _check_fits(requests, request_rates, "requests")
    tokens = count_tokens() if token_rates else 0
    _check_fits(tokens, token_rates, "tokens")
    at, quota = clock.now(), None
    if requests > 1:
        # The submitting request is counted again with all others, so that a batch as large as the limit can fit.
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
    """Raise InvalidRequest if a rate can never admit the amount."""
    for rate in rates.values():
        if amount > rate.amount > 0:  # a limit of 0 is refused when the amount is counted
            raise InvalidRequest(
                f"this batch may use {amount:,} {unit}, and at most {rate.amount:,} are allowed in"
                f" {rate.window_s:,} s: send smaller batches.",
                field="requests",
            )
