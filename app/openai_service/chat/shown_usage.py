"""Removes cached tokens from a usage whose caller may not see them."""

from __future__ import annotations

from app.models.token_counts import Usage
from app.openai_service.results import CallRecord, ChatResult


def show_usage(usage: Usage | None, record: CallRecord) -> Usage | None:
    """Return a usage, without its cached tokens if they could reveal what another user has sent.

    They cannot if the request set a `prompt_cache_key` that only its user shares. Callers with a key and admins see the
    usage as it is billed.
    """
    if usage is None or record.has_own_cache or record.caller.sees_cache:
        return usage
    return usage.without_cache()


def show_result(result: ChatResult) -> ChatResult:
    """Return a result whose usage is limited to what its caller may see."""
    usage = show_usage(result.usage, result.record)
    return result if usage is result.usage else result.with_usage(usage)
