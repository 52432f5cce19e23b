"""Errors of upstream calls. None of them contains text from the upstream.

ModelNotOffered              nothing was sent
BatchesNotOffered            the upstream has no Batch API
CallerGone                   the client has disconnected
UpstreamError
├── UpstreamRejected         the request cannot be served; a retry cannot help
│   ├── ParameterRejected
│   ├── UserBlocked
│   ├── ContextLengthExceeded
│   │   ├── InputTooLong     longer than this site accepts; nothing was sent
│   │   └── LargerThanRate
│   ├── UnsupportedSchema
│   ├── InvalidImage
│   ├── BodyTooLarge
│   ├── ContentFiltered
│   ├── Refused
│   │   └── SchemaMismatch
│   └── Truncated
├── UpstreamUnavailable      the upstream, or our account there, is at fault
│   ├── UpstreamFailed
│   │   └── UpstreamTruncated
│   ├── UpstreamRateLimited
│   ├── UpstreamTimeout
│   └── CircuitOpen          nothing was sent
"""

from __future__ import annotations

from typing import Self

from app.models.token_counts import Usage
from app.problems import Problem

QUOTA_CODES = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "billing_hard_limit_reached",
        "billing_not_active",
        "account_deactivated",
    }
)
"""The codes of an account without quota or credit: neither a retry nor another model helps."""

MODEL_GONE_CODES = frozenset({"model_not_found", "DeploymentNotFound"})
"""The codes of a model that the upstream does not have, no longer has, or does not offer to this key."""

LARGER_THAN_RATE = "larger_than_rate"
"""Our own code for LargerThanRate: the upstream uses the code of any exceeded rate limit."""


class ModelNotOffered(Problem):
    """The request names a model that this site does not offer."""

    status = 403
    code = "forbidden"
    field = "model"
    sentence = "this model is not offered here."


class BatchesNotOffered(Problem):
    """The site's upstream, or its settings, do not allow batches."""

    status = 501
    code = "batches_not_offered"
    sentence = "Batches are not available here."


class CallerGone(Problem):
    """The client disconnected before the answer began; only the log shows it."""

    status = 499
    code = "client_gone"
    sentence = "The client has disconnected."
    outcome = "client_gone"


class UpstreamError(Problem):
    """The upstream could not be reached, did not answer properly, or refuses the site's own key or quota.

    Attributes:
        upstream_status: the upstream's HTTP status, or that of an error inside a 200; None if there is neither.
        upstream_code: the upstream's code of the error, or the kind of failure if there was no response.
        upstream_retry_after_s: the upstream's Retry-After.
        upstream_request_id: the upstream's id of the request, for its support.
        param: the upstream's name of the parameter at fault, if it gave one.
        is_unknown_param: whether the upstream's message says that it does not know that parameter.
        exclusive_params: two parameters of which the upstream accepts only one.
        requires_responses: whether the upstream serves the model on /responses only.
        is_missing_route: whether the route does not exist, rather than the model.
        supported_values: the values of that parameter that the upstream accepts, from its message.
        needs_no_reasoning: whether the upstream accepts tools only with the effort "none".
        was_sent: whether the request may have reached the upstream.
        should_retry: whether a retry can help, from the upstream's header `x-should-retry`; None without one.
        billed_usage: the usage of an answer that arrived but cannot be read. It is billed, so it is not retried.
        is_generation_failure: whether the upstream reports that it failed to generate the answer. That is retried.
    """

    status = 502
    code = "upstream_failed"
    sentence = "The model could not be reached or did not answer properly."
    passes_on_wait = False
    """Whether the caller gets the upstream's Retry-After."""

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
        # No text from the upstream: it can contain the prompt, the end of a key, or a host.
        super().__init__(type(self).__name__)
        self.upstream_status = status
        self.upstream_code = upstream_code
        self.upstream_retry_after_s = retry_after_s
        self.upstream_request_id = upstream_request_id
        self.param = param
        self.is_unknown_param = False
        self.exclusive_params: tuple[str, ...] = ()
        self.requires_responses = False
        self.is_missing_route = False
        self.is_generation_failure = False
        self.supported_values: tuple[str, ...] = ()
        self.needs_no_reasoning = False
        self.should_retry = should_retry
        self.was_sent = True
        self.billed_usage: Usage | None = None
        if self.passes_on_wait and retry_after_s is not None:
            self.retry_after_s = retry_after_s

    def with_billed_usage(self, usage: Usage | None) -> Self:
        """Set the usage of the answer, if it reports any, and return this error."""
        if usage is not None and (usage.prompt_tokens or usage.completion_tokens):
            self.billed_usage = usage
        return self

    @property
    def may_be_billed(self) -> bool:
        """Whether the upstream may have processed the request: it was sent, and no error response arrived."""
        return self.was_sent and self.upstream_status is None


class UpstreamRejected(UpstreamError):
    """The model does not accept the request."""

    status = 400
    code = "invalid_request"
    sentence = "The model does not accept this request."
    outcome = "rejected"


class ParameterRejected(UpstreamRejected):
    """The model does not accept the value of a field; the sentence begins with the field's name."""

    sentence = "the model does not accept this value."


class UserBlocked(UpstreamRejected):
    """The upstream has blocked this user, identified by a hash (`safety_identifier`). Other users are not affected."""

    status = 403
    code = "forbidden"
    sentence = "The model's provider does not serve this user."


class ContextLengthExceeded(UpstreamRejected):
    """The conversation is longer than the model's context window."""

    code = "context_length_exceeded"
    sentence = "The conversation is longer than the model's context window."

    def add_sizes(self, limit: int | None, size: int | None) -> None:
        """Add the known numbers of tokens to the sentence."""
        if limit is not None:
            sizes = f"at most {limit:,} tokens" if size is None else f"{size:,} of at most {limit:,} tokens"
            self.sentence = f"{type(self).sentence.removesuffix('.')}: {sizes}."


class InputTooLong(ContextLengthExceeded):
    """The last turn alone is longer than `MAX_INPUT_TOKENS`, or than the model's context window."""

    sentence = "The input is longer than this site accepts, even without the earlier turns."

    def __init__(self) -> None:
        super().__init__()
        self.was_sent = False


class LargerThanRate(ContextLengthExceeded):
    """The request alone needs more tokens than the upstream allows the site's account per minute. A retry cannot help."""

    sentence = "The request needs more tokens than this site may use in a minute."


class UnsupportedSchema(UpstreamRejected):
    """The model does not support the JSON schema, or checking an answer against it takes too long."""

    code = "unsupported_schema"
    field = "schema"
    sentence = "the model does not support it."


class InvalidImage(UpstreamRejected):
    """The model cannot use an image."""

    code = "invalid_image"
    sentence = "The model cannot use this image."


class BodyTooLarge(UpstreamRejected):
    """The request is larger than the upstream accepts."""

    status = 413
    code = "body_too_large"
    sentence = "The request is larger than the model accepts."


class ContentFiltered(UpstreamRejected):
    """The site's moderation or the upstream's content filter stopped the request or its answer."""

    status = 422
    code = "content_filter"
    sentence = "The content filter stopped this request."


class Refused(UpstreamRejected):
    """`/api/structured`: the model refused to answer."""

    status = 422
    code = "refused"
    sentence = "The model refused to answer this request."


class SchemaMismatch(Refused):
    """`/api/structured`: the model's answer does not match the schema."""

    sentence = "The model's answer does not match the schema."


class Truncated(UpstreamRejected):
    """`/api/structured`: the answer was cut off at `maxTokens` or `MAX_TOKENS`."""

    status = 422
    code = "truncated"
    sentence = "The answer was cut off before its end; a larger maxTokens may help."


class UpstreamUnavailable(UpstreamError):
    """The upstream, or our account there, is at fault."""

    passes_on_wait = True
    outcome = "upstream_error"


class UpstreamFailed(UpstreamUnavailable):
    """The upstream answered with an error, or with no usable answer."""


class UpstreamTruncated(UpstreamFailed):
    """The upstream stopped before the end of its answer. It mostly happens inside a stream, as an event."""

    code = "upstream_truncated"
    sentence = "The model's answer stopped before its end."
    outcome = "upstream_truncated"


class UpstreamRateLimited(UpstreamUnavailable):
    """The upstream refuses the request because of its own rate limit."""

    status = 503
    code = "upstream_rate_limited"
    sentence = "The model is busy; try again shortly."
    retry_after_s = 5.0


class UpstreamTimeout(UpstreamUnavailable):
    """The request took longer than `REQUEST_TIMEOUT_S`, or its last attempt took too long."""

    status = 504
    code = "upstream_timeout"
    sentence = "The model did not answer in time."
    outcome = "upstream_timeout"


class CircuitOpen(UpstreamUnavailable):
    """Every model failed too often in a row, so its circuit is open: no model is called until a cooldown has passed."""

    status = 503
    code = "circuit_open"
    sentence = "The model has failed too often; try again shortly."
    outcome = "circuit_open"

    def __init__(self, *, retry_after_s: float) -> None:
        super().__init__(retry_after_s=retry_after_s)
        self.was_sent = False
