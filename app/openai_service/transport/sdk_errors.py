"""Translates errors of the SDK and of the HTTP client below it to ours, by status first, by code second."""

from __future__ import annotations

import errno
import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx2

from app.openai_service.errors import (
    LARGER_THAN_RATE,
    MODEL_GONE_CODES,
    QUOTA_CODES,
    BodyTooLarge,
    ContentFiltered,
    ContextLengthExceeded,
    InvalidImage,
    LargerThanRate,
    ParameterRejected,
    UnsupportedSchema,
    UpstreamError,
    UpstreamFailed,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UserBlocked,
)
from app.openai_service.transport.parameter_names import to_api_name
from app.openai_service.transport.sdk import openai

if TYPE_CHECKING:
    from app.openai_service.transport.refusals import Fault

_SAFE_PARAM = re.compile(r"[A-Za-z0-9_.\[\]-]{1,80}")

# Codes that describe the fault in the API's own words. They may be shown to callers: no server puts a name into them.
_DESCRIPTIVE_CODE = re.compile(
    r"(?:unsupported|unknown|invalid|missing|integer|decimal|number|string|array|object|empty)_[a-z_]{2,40}"
)


class TranslatedErrors:
    """A context manager that translates errors of the SDK and the HTTP client to an `UpstreamError`."""

    # Without an error, a class takes two calls, a generator of contextlib nine.
    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None:
            return
        if isinstance(error, openai.APIError):
            raise translate(error) from None
        if isinstance(error, httpx2.TimeoutException):
            raise UpstreamTimeout from None
        # Reading the body of an error response can fail as well, and the SDK does not wrap that error.
        if isinstance(error, httpx2.HTTPError | openai.OpenAIError):
            raise UpstreamFailed from None


def translate(error: openai.APIError) -> UpstreamError:
    """Translate an error of the SDK: by status first, by the upstream's code second."""
    if not isinstance(error, openai.APIStatusError):
        is_timeout = isinstance(error, openai.APITimeoutError)
        no_response = UpstreamTimeout() if is_timeout else UpstreamFailed(upstream_code=_find_root_cause(error))
        no_response.was_sent = not isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout)
        return no_response
    headers = error.response.headers
    retry_after_s = _parse_retry_after(headers.get("retry-after"), headers.get("retry-after-ms"))
    translated = translate_error_object(error.body, status=error.status_code, retry_after_s=retry_after_s)
    translated.should_retry = {"true": True, "false": False}.get(headers.get("x-should-retry", ""))
    translated.upstream_request_id = headers.get("x-request-id")
    return translated


def _find_root_cause(error: BaseException) -> str:
    """Return the name of the first error in the chain, for the log: its class, or for a plain OSError its errno, such as EMFILE."""
    while error.__cause__ is not None:
        error = error.__cause__
    if type(error) is OSError and error.errno is not None:
        return errno.errorcode.get(error.errno, "OSError")
    return type(error).__name__


def translate_error_object(
    body: object, *, status: int | None = None, retry_after_s: float | None = None
) -> UpstreamError:
    """Translate an error object, from a response or from a stream."""
    # Loaded with the first error: compiling its forty patterns would take a fortieth of the start.
    from app.openai_service.transport.refusals import blocks_user, read_fault

    fields = _find_error(body)
    code = _find_code(fields)
    status = status or _infer_status(fields)
    fault = read_fault(fields)
    param = _as_text(fields.get("param")) or fault.param
    is_quota = fault.is_quota or code in QUOTA_CODES
    if is_quota and code not in QUOTA_CODES:
        code = "insufficient_quota"
    if fault.is_larger_than_rate:
        code = LARGER_THAN_RATE
    if fault.is_key and status in _KEY_STATUSES and param is None and code not in _KNOWN:
        code = _INVALID_KEY
    kind = _classify(status, code, param, fault)
    if blocks_user(fields, status):
        kind = UserBlocked
    safe_param = param if param and _SAFE_PARAM.fullmatch(param) else None
    error = (ParameterRejected if kind is UpstreamRejected and safe_param else kind)(
        status=status,
        param=safe_param,
        upstream_code=code if code and _SAFE_PARAM.fullmatch(code) else None,
        retry_after_s=None if is_quota else retry_after_s,  # a retry does not help
    )
    error.is_unknown_param = fault.is_unknown_param and param == fault.param
    error.requires_responses = fault.requires_responses
    error.is_missing_route = (
        status in _NO_ROUTE and param is None and code not in _NO_MODEL and not fault.names_model
    )
    error.exclusive_params = fault.exclusive
    error.supported_values = fault.supported_values
    error.needs_no_reasoning = fault.needs_no_reasoning
    if isinstance(error, ParameterRejected):
        error.field = ".".join([to_api_name(safe_param or ""), *fault.place])
    elif isinstance(error, UnsupportedSchema):
        error.field = ".".join(["schema", *fault.place])
    if type(error) in (UpstreamRejected, ParameterRejected) and code and _DESCRIPTIVE_CODE.fullmatch(code):
        error.sentence = f"{type(error).sentence.removesuffix('.')} ({code})."
    if isinstance(error, ContextLengthExceeded):
        error.add_sizes(fault.limit, fault.size)
    return error


def _find_error(body: object) -> dict[str, Any]:
    """Return the error object in a body. Google's body is a list, that of some servers is a text."""
    if isinstance(body, list) and body:
        body = body[0]
    if isinstance(body, dict) and isinstance(body.get("error"), dict | str):
        body = body["error"]
    if isinstance(body, dict) and not body.keys() & {"message", "detail", "error"} and body.get("errors"):
        body = _find_first(body["errors"])  # the format of Cloudflare and of some frameworks
    if isinstance(body, str):
        return {"message": body}
    return body if isinstance(body, dict) else {}


def _find_first(errors: object) -> object:
    """Return the first of several errors, which are a list, or an object by field."""
    if isinstance(errors, dict):
        name, problems = next(iter(errors.items()))
        problem = problems[0] if isinstance(problems, list) and problems else problems
        return f"{name}: {problem}" if isinstance(problem, str) else problem
    return errors[0] if isinstance(errors, list) else errors


def _find_code(error: dict[str, Any]) -> str | None:
    """Return the error's code as a word, in OpenAI's case if it is one of OpenAI's; if there is no word, its number."""
    code = error.get("code")
    words = (_as_text(code), _as_text(error.get("type")), _as_text(error.get("status")))
    word = next(filter(None, words), str(code) if type(code) is int else None)
    return word.lower() if word and word.lower() in _KNOWN else word


_INVALID_KEY = "invalid_api_key"
# A message about a refused key is trusted only with one of these statuses: Google and x.ai answer with 400.
_KEY_STATUSES = {400, 401, 403, None}
_LLAMA_CONTEXT = "exceed_context_size_error"  # of llama.cpp, whose first versions sent status 500
_BY_CODE: dict[str, type[UpstreamError]] = {
    "context_length_exceeded": ContextLengthExceeded,
    "string_above_max_length": ContextLengthExceeded,
    _LLAMA_CONTEXT: ContextLengthExceeded,
    "context_window_exceeded": ContextLengthExceeded,
    "model_max_prompt_tokens_exceeded": ContextLengthExceeded,
    "content_filter": ContentFiltered,
    "content_policy_violation": ContentFiltered,
    "bio_policy": ContentFiltered,
    "invalid_prompt": ContentFiltered,
    "misalignment_policy_violation": ContentFiltered,
    "invalid_json_schema": UnsupportedSchema,
    "rate_limit_exceeded": UpstreamRateLimited,
}
_KNOWN = {*_BY_CODE, *QUOTA_CODES, *MODEL_GONE_CODES, _INVALID_KEY}
_REJECTED_STATUSES = {400, 422}
_NO_ROUTE = {404, 405, 501}
_NO_MODEL = {"model_not_found", "DeploymentNotFound"}
_FILTERING_STATUSES = {400, 403, 422, None}
_POLICY = re.compile(r"[a-z_]+_policy(?:_violation)?")


def _classify(status: int | None, code: str | None, param: str | None, fault: Fault) -> type[UpstreamError]:
    if code in QUOTA_CODES or code == _INVALID_KEY:
        return UpstreamFailed
    if fault.is_larger_than_rate:
        return LargerThanRate
    if status == 429 or code == "slow_down":
        return UpstreamRateLimited
    if status in _FILTERING_STATUSES and code and _POLICY.fullmatch(code):
        return ContentFiltered
    if status == 413:
        return ContextLengthExceeded if fault.is_context else BodyTooLarge
    if status in _REJECTED_STATUSES or code == _LLAMA_CONTEXT:
        return _classify_rejection(code or "", param or "", fault)
    # Errors in a stream have no status.
    return _BY_CODE.get(code or "", UpstreamFailed) if status is None else UpstreamFailed


def _classify_rejection(code: str, param: str, fault: Fault) -> type[UpstreamError]:
    is_of_field = code == "string_above_max_length" and bool(param) and not param.startswith(("messages", "input"))
    if code in _BY_CODE and not is_of_field:
        return _BY_CODE[code]
    if "image" in code or "image_url" in param:
        return InvalidImage
    if param.startswith(("response_format", "text.format")):
        return UnsupportedSchema
    return ContextLengthExceeded if fault.is_context else UpstreamRejected


def _infer_status(error: dict[str, Any]) -> int | None:
    """Return the status of an error inside a 200: compatible servers send it as the code, OpenAI's `type` implies it."""
    code = error.get("code")
    code = int(code) if isinstance(code, str) and re.fullmatch("[45][0-9][0-9]", code) else code
    if isinstance(code, int | float) and 400 <= code < 600:
        return int(code)
    is_callers_fault = error.get("type") == "invalid_request_error" and code != _INVALID_KEY
    return 400 if is_callers_fault else None


def _as_text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _parse_retry_after(retry_after: str | None, retry_after_ms: str | None) -> float | None:
    """Return Retry-After, a number or a date, in seconds. `retry-after-ms` takes precedence, as it is more precise.

    Source: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    for text, parse in ((retry_after_ms, _parse_ms), (retry_after, float), (retry_after, _parse_date)):
        try:
            seconds = parse(text or "")
        except (ValueError, OverflowError):
            continue
        if 0 <= seconds <= 86_400:
            return seconds
    return None


def _parse_ms(text: str) -> float:
    return float(text) / 1000


def _parse_date(http_date: str) -> float:
    return max(parsedate_to_datetime(http_date).timestamp() - time.time(), 0.0)
