"""From the errors of the SDK, and of the HTTP client below it, to ours: by status first, by code second."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from app.openai_service.errors import (
    BodyTooLarge,
    ContentFiltered,
    ContextLengthExceeded,
    InvalidImage,
    ParameterRejected,
    UnsupportedSchema,
    UpstreamError,
    UpstreamFailed,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
)
from app.openai_service.transport.sdk import openai

_SAFE_PARAM = re.compile(r"[A-Za-z0-9_.\[\]-]{1,80}")
# What the upstream calls a parameter, and what our callers call it.
_CALLERS_NAMES = {
    "max_completion_tokens": "maxTokens",
    "max_tokens": "maxTokens",
    "tool_choice": "toolChoice",
    "response_format": "schema",
}


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn what the SDK, or the HTTP client below it, raises in the block into an UpstreamError."""
    try:
        yield
    except openai.APIError as error:
        raise translate(error) from None
    except httpx2.TimeoutException:
        raise UpstreamTimeout from None
    except (httpx2.HTTPError, openai.OpenAIError):
        # Reading the body of an error can fail as well; the SDK lets that through.
        raise UpstreamFailed from None


def translate(error: openai.APIError) -> UpstreamError:
    """Turn an error of the SDK into ours: by status first, by the upstream's code second."""
    if not isinstance(error, openai.APIStatusError):
        is_timeout = isinstance(error, openai.APITimeoutError)
        unanswered = UpstreamTimeout() if is_timeout else UpstreamFailed(upstream_code=_root_cause(error))
        unanswered.was_sent = not isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout)
        return unanswered
    headers = error.response.headers
    retry_after_s = _retry_after_s(headers.get("retry-after"), headers.get("retry-after-ms"))
    translated = from_error_object(error.body, status=error.status_code, retry_after_s=retry_after_s)
    translated.should_retry = {"true": True, "false": False}.get(headers.get("x-should-retry", ""))
    translated.upstream_request_id = headers.get("x-request-id")
    return translated


def _root_cause(error: BaseException) -> str:
    """The kind of what went wrong below, such as SSLCertVerificationError, for who reads the log."""
    while error.__cause__ is not None:
        error = error.__cause__
    return type(error).__name__


def from_error_object(
    body: object, *, status: int | None = None, retry_after_s: float | None = None
) -> UpstreamError:
    """Turn OpenAI's error object, from an answer or from inside a stream, into ours."""
    fields: dict[str, Any] = body if isinstance(body, dict) else {}
    code = _text(fields.get("code")) or _text(fields.get("type"))
    status = status or _stated_status(fields)
    param = _text(fields.get("param"))
    kind = _kind(status, code, param, _text(fields.get("message")) or "")
    safe_param = param if param and _SAFE_PARAM.fullmatch(param) else None
    error = (ParameterRejected if kind is UpstreamRejected and safe_param else kind)(
        status=status,
        param=safe_param,
        upstream_code=code if code and _SAFE_PARAM.fullmatch(code) else None,
        retry_after_s=None if code == "insufficient_quota" else retry_after_s,  # no wait mends that
    )
    if isinstance(error, ParameterRejected):
        error.field = _field_of(safe_param or "")
    return error


def _field_of(param: str) -> str:
    """Return the name by which our callers know a parameter of the upstream's, such as `messages.[3].content`."""
    name = param.split(".", maxsplit=1)[0].split("[", maxsplit=1)[0]
    return _CALLERS_NAMES.get(name, name)


_BY_CODE: dict[str, type[UpstreamError]] = {
    "context_length_exceeded": ContextLengthExceeded,
    "string_above_max_length": ContextLengthExceeded,
    "content_filter": ContentFiltered,
    "content_policy_violation": ContentFiltered,
    "invalid_json_schema": UnsupportedSchema,
    "rate_limit_exceeded": UpstreamRateLimited,
}
_CALLERS_FAULT = {400, 422}


def _kind(status: int | None, code: str | None, param: str | None, message: str) -> type[UpstreamError]:
    if code == "insufficient_quota":
        return UpstreamFailed
    if status == 429:
        return UpstreamRateLimited
    if status == 413:
        return BodyTooLarge
    if status in _CALLERS_FAULT:
        if code in _BY_CODE:
            return _BY_CODE[code]
        if (code and "image" in code) or "image_url" in (param or ""):
            return InvalidImage
        if (param or "").startswith("response_format"):
            return UnsupportedSchema
        if "maximum context length" in message:
            return ContextLengthExceeded
        return UpstreamRejected
    if status is None and code in _BY_CODE:  # inside a stream there is no status
        return _BY_CODE[code]
    return UpstreamFailed


def _stated_status(error: dict[str, Any]) -> int | None:
    """The status that an error inside a 200 would have had, as compatible servers say it, or OpenAI's kind of it."""
    code = error.get("code")
    if isinstance(code, int) and 400 <= code < 600:
        return code
    is_the_callers = error.get("type") == "invalid_request_error" and code != "invalid_api_key"
    return 400 if is_the_callers else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _retry_after_s(retry_after: str | None, retry_after_ms: str | None) -> float | None:
    """Retry-After in seconds, be it a number or a date; `retry-after-ms` is the more exact one.

    Source: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    for text, seconds_of in ((retry_after_ms, _milliseconds), (retry_after, float), (retry_after, _until)):
        try:
            seconds = seconds_of(text or "")
        except (ValueError, OverflowError):
            continue
        if 0 <= seconds <= 86_400:
            return seconds
    return None


def _milliseconds(text: str) -> float:
    return float(text) / 1000


def _until(http_date: str) -> float:
    return max(parsedate_to_datetime(http_date).timestamp() - time.time(), 0.0)
