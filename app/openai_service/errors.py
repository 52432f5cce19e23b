"""What can go wrong in a call to the upstream, and the one place where the SDK's errors become ours.

ModelNotOffered              nothing was sent
SchemaNotUsable              nothing was sent
UpstreamError
├── UpstreamRejected         the caller's request cannot be served as it is; trying again cannot help
│   ├── ContextLengthExceeded
│   ├── UnsupportedSchema
│   ├── InvalidImage
│   ├── BodyTooLarge
│   ├── ContentFiltered      the upstream's content filter stopped the request or the answer
│   ├── Refused              the model would not answer
│   │   └── NotFilled        it answered, but not with what the schema asks for
│   └── Truncated            the answer was cut before it was whole
├── UpstreamUnavailable      the upstream, or our account there, is at fault
│   ├── UpstreamFailed
│   │   └── UpstreamTruncated    a stream ended without saying that it was finished
│   ├── UpstreamRateLimited
│   └── UpstreamTimeout
"""

from __future__ import annotations

import re
from typing import Any

import openai

_SAFE_PARAM = re.compile(r"[A-Za-z0-9_.\[\]-]{1,80}")


class UpstreamError(Exception):
    """A call that did not succeed.

    Attributes:
        status: the upstream's HTTP status, None when no answer came.
        param: the upstream's name of the parameter at fault, if it named one.
        upstream_code: the upstream's own code of the error, or the kind of failure where none came.
        retry_after_s: how long the upstream asked to be left alone.
        upstream_request_id: for a support case with the upstream.
    """

    def __init__(
        self,
        *,
        status: int | None = None,
        param: str | None = None,
        upstream_code: str | None = None,
        retry_after_s: float | None = None,
        upstream_request_id: str | None = None,
    ) -> None:
        # No text of the upstream's: it can hold the prompt, the end of a key, or a host.
        super().__init__(type(self).__name__)
        self.status = status
        self.param = param
        self.upstream_code = upstream_code
        self.retry_after_s = retry_after_s
        self.upstream_request_id = upstream_request_id


class ModelNotOffered(Exception):
    """The call names a model that this site does not offer."""


class SchemaNotUsable(ValueError):
    """The JSON schema itself is off. The message is one safe sentence."""


class UpstreamRejected(UpstreamError):
    pass


class ContextLengthExceeded(UpstreamRejected):
    pass


class UnsupportedSchema(UpstreamRejected):
    pass


class InvalidImage(UpstreamRejected):
    pass


class BodyTooLarge(UpstreamRejected):
    pass


class ContentFiltered(UpstreamRejected):
    pass


class Refused(UpstreamRejected):
    pass


class NotFilled(Refused):
    pass


class Truncated(UpstreamRejected):
    pass


class UpstreamUnavailable(UpstreamError):
    pass


class UpstreamFailed(UpstreamUnavailable):
    pass


class UpstreamTruncated(UpstreamFailed):
    pass


class UpstreamRateLimited(UpstreamUnavailable):
    pass


class UpstreamTimeout(UpstreamUnavailable):
    pass


def translate(error: openai.APIError) -> UpstreamError:
    """Turn an error of the SDK into ours: by status first, by the upstream's code second."""
    if isinstance(error, openai.APITimeoutError):
        return UpstreamTimeout()
    if not isinstance(error, openai.APIStatusError):
        return UpstreamFailed(upstream_code=_root_cause(error))
    headers = error.response.headers
    return from_error_object(
        error.body,
        status=error.status_code,
        retry_after=headers.get("retry-after"),
        retry_after_ms=headers.get("retry-after-ms"),
        upstream_request_id=headers.get("x-request-id"),
    )


def _root_cause(error: BaseException) -> str:
    """The kind of what went wrong below, such as SSLCertVerificationError, for who reads the log."""
    while error.__cause__ is not None:
        error = error.__cause__
    return type(error).__name__


def from_error_object(
    body: object,
    *,
    status: int | None = None,
    retry_after: str | None = None,
    retry_after_ms: str | None = None,
    upstream_request_id: str | None = None,
) -> UpstreamError:
    """Turn OpenAI's error object, from an answer or from inside a stream, into ours."""
    fields: dict[str, Any] = body if isinstance(body, dict) else {}
    code = _text(fields.get("code")) or _text(fields.get("type"))
    param = _text(fields.get("param"))
    kind = _kind(status, code, param, _text(fields.get("message")) or "")
    return kind(
        status=status,
        param=param if param and _SAFE_PARAM.fullmatch(param) else None,
        upstream_code=code if code and _SAFE_PARAM.fullmatch(code) else None,
        retry_after_s=_seconds(retry_after, retry_after_ms),
        upstream_request_id=upstream_request_id,
    )


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


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _seconds(retry_after: str | None, retry_after_ms: str | None) -> float | None:
    """Retry-After in seconds; `retry-after-ms` is the more exact one. Dates are left to the retry policy."""
    for text, scale in ((retry_after_ms, 0.001), (retry_after, 1.0)):
        try:
            seconds = float(text) * scale if text else -1.0
        except ValueError:
            continue
        if 0 <= seconds <= 86_400:
            return seconds
    return None
