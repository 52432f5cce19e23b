"""The log line of each call, which has metadata only."""

from __future__ import annotations

import logging

from app.openai_service.results import CallRecord

_log = logging.getLogger("app.call")


def log_call(record: CallRecord) -> None:
    """Write the log line of a call; a listener."""
    if not _log.isEnabledFor(logging.INFO):
        return
    usage = record.usage
    fields = {
        "request_id": record.request_id,
        "operation": record.operation,
        "model": record.model,
        "outcome": record.outcome,
        "attempts": record.attempts,
        "is_cached": record.is_cached or None,
        "models": ",".join(record.models) if len(record.models) > 1 else None,
        "trimmed": record.trimmed or None,
        "tool_calls": record.tool_calls or None,
        "finish_reason": record.finish_reason,
        "prompt_tokens": usage and usage.prompt_tokens,
        "completion_tokens": usage and usage.completion_tokens,
        "upstream_status": record.upstream_status,
        "upstream_code": record.upstream_code,
        "upstream_request_id": record.upstream_request_id,
        "first_token_ms": record.first_token_ms and round(record.first_token_ms, 1),
        "upstream_ms": round(record.upstream_ms, 1),
        "waited_ms": round(record.waited_ms, 1) if record.waited_ms else None,
        "total_ms": round(record.total_ms, 1),
    }
    # Not by _log.info(), which would search the stack for the caller.
    _log.handle(_log.makeRecord(_log.name, logging.INFO, "", 0, "call", (), None, extra=fields))
