"""What can go wrong in a call to the upstream, and the one place where the SDK's errors become ours.

ModelNotOffered              nothing was sent
SchemaNotUsable              nothing was sent
BatchesNotOffered            the upstream has no such thing
CallerGone                   the visitor has left; there is nobody to tell
Interrupted                  this server ended the call
UpstreamError
├── UpstreamRejected         the caller's request cannot be served as it is; trying again cannot help
│   ├── ContextLengthExceeded
│   │   └── InputTooLong     longer than this site takes; nothing was sent
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
│   ├── UpstreamTimeout
│   └── CircuitOpen          it failed so often that it is not asked; nothing was sent
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from app.openai_service.transport.sdk import openai

_SAFE_PARAM = re.compile(r"[A-Za-z0-9_.\[\]-]{1,80}")


class UpstreamError(Exception):
    """A call that did not succeed.

    Attributes:
        status: the upstream's HTTP status, or the one that an error inside a 200 names; None when there was neither.
        param: the upstream's name of the parameter at fault, if it named one.
        upstream_code: the upstream's own code of the error, or the kind of failure where none came.
        retry_after_s: how long the upstream asked to be left alone.
        was_sent: whether the request may have reached the upstream.
        should_retry: the upstream's own word on whether trying again can help, None where it gave none.
        upstream_request_id: for a support case with the upstream.
    """

    def __init__(
        self,
        *,
        status: int | None = None,
        param: str | None = None,
        upstream_code: str | None = None,
        retry_after_s: float | None = None,
        should_retry: bool | None = None,
        upstream_request_id: str | None = None,
    ) -> None:
        # No text of the upstream's: it can hold the prompt, the end of a key, or a host.
        super().__init__(type(self).__name__)
        self.status = status
        self.param = param
        self.upstream_code = upstream_code
        self.retry_after_s = retry_after_s
        self.should_retry = should_retry
        self.was_sent = True
        self.upstream_request_id = upstream_request_id

    @property
    def may_be_billed(self) -> bool:
        """Whether the upstream may have done some work: it never said that it would not."""
        return self.was_sent and self.status is None


class ModelNotOffered(Exception):
    """The call names a model that this site does not offer."""


class SchemaNotUsable(ValueError):
    """The JSON schema itself is off. The message is one safe sentence."""


class BatchesNotOffered(Exception):
    """The upstream takes no batches."""


class CallerGone(Exception):
    """The visitor has left, and with it the reason for the call."""


class Interrupted(Exception):
    """This server ended the call for a reason of its own."""


class UpstreamRejected(UpstreamError):
    pass


class ContextLengthExceeded(UpstreamRejected):
    pass


class InputTooLong(ContextLengthExceeded):
    def __init__(self) -> None:
        super().__init__()
        self.was_sent = False


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


class CircuitOpen(UpstreamUnavailable):
    def __init__(self, *, retry_after_s: float) -> None:
        super().__init__(retry_after_s=retry_after_s)
        self.was_sent = False


@contextmanager
def as_ours() -> Iterator[None]:
    """What the SDK, or the HTTP client below it, raises in the block comes out of it as an UpstreamError."""
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
    translated = from_error_object(error.body, status=error.status_code)
    if translated.upstream_code != "insufficient_quota":  # no wait mends that
        translated.retry_after_s = _retry_after_s(headers.get("retry-after"), headers.get("retry-after-ms"))
    translated.should_retry = {"true": True, "false": False}.get(headers.get("x-should-retry", ""))
    translated.upstream_request_id = headers.get("x-request-id")
    return translated


def _root_cause(error: BaseException) -> str:
    """The kind of what went wrong below, such as SSLCertVerificationError, for who reads the log."""
    while error.__cause__ is not None:
        error = error.__cause__
    return type(error).__name__


def from_error_object(body: object, *, status: int | None = None) -> UpstreamError:
    """Turn OpenAI's error object, from an answer or from inside a stream, into ours."""
    fields: dict[str, Any] = body if isinstance(body, dict) else {}
    code = _text(fields.get("code")) or _text(fields.get("type"))
    status = status or _stated_status(fields)
    param = _text(fields.get("param"))
    kind = _kind(status, code, param, _text(fields.get("message")) or "")
    return kind(
        status=status,
        param=param if param and _SAFE_PARAM.fullmatch(param) else None,
        upstream_code=code if code and _SAFE_PARAM.fullmatch(code) else None,
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
