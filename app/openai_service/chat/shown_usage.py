"""The usage of an answer as its caller may see it."""

from __future__ import annotations

from app.models.token_counts import Usage
from app.openai_service.results import CallRecord, ChatResult


def show_usage(usage: Usage | None, record: CallRecord) -> Usage | None:
    """Return a usage, without its cached tokens if they could tell what somebody else has sent.

    They cannot if the request named a part of the prompt cache that only its user's requests share. Keys and admins
    see the bill as it is.
    """
    if usage is None or record.has_own_cache or record.caller.sees_cache:
        return usage
    return usage.without_cache()


def show_result(result: ChatResult) -> ChatResult:
    """Return a result with its usage as its caller may see it."""
    usage = show_usage(result.usage, result.record)
    return result if usage is result.usage else result.with_usage(usage)
