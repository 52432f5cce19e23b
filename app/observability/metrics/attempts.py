"""Name the outcome of an attempt, by a small set of names, so that the number of series stays small."""

from __future__ import annotations

from app.openai_service.errors import LARGER_THAN_RATE, QUOTA_CODES
from app.openai_service.results import Attempt

_BY_STATUS = {
    401: "key_refused",
    402: "quota_exceeded",
    403: "forbidden",
    404: "not_found",
    408: "timeout",
    429: "rate_limited",
}


def name_outcome(attempt: Attempt) -> str | None:
    """Return the outcome of an attempt; None if nothing was sent."""
    if attempt.is_refused or attempt.sent_at is None:
        return None
    if attempt.failure is None:
        return "complete" if attempt.is_complete else "abandoned"
    status, code = attempt.failure
    if code in QUOTA_CODES:
        return "quota_exceeded"
    if code == "invalid_api_key":
        return "key_refused"
    if code == LARGER_THAN_RATE:
        return "rate_limited"
    if status is None:
        return "no_answer"
    return _BY_STATUS.get(status) or ("server_error" if status >= 500 else "rejected")
