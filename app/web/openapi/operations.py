"""Describe what each route accepts and returns, besides what its view and its guard declare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.web.openapi.schema import Schema, refer
from app.web.schemas.admin.limits import LimitsRequest
from app.web.schemas.batches import CreateBatchRequest
from app.web.schemas.chat import ChatRequest
from app.web.schemas.embeddings import EmbeddingsRequest, SimilarityRequest
from app.web.schemas.frameworks.agui import AguiRequest
from app.web.schemas.frameworks.completion import CompletionRequest
from app.web.schemas.frameworks.ui_messages import UIMessagesRequest
from app.web.schemas.openai_chat import OpenAIChatRequest
from app.web.schemas.structured import StructuredRequest
from app.web.schemas.tokens import TokenRequest
from app.web.schemas.v1.chat_completions import ChatCompletionsRequest
from app.web.schemas.v1.embeddings import EmbeddingsRequest as V1EmbeddingsRequest
from app.web.schemas.v1.responses import ResponsesRequest
from app.web.schemas.validation import RequestModel
from app.web.schemas.vision import VisionFields, VisionRequest

EVENTS, TEXT, JSON, CSV = "text/event-stream", "text/plain", "application/json", "text/csv"

_TOKENS = (
    'SSE events with JSON: `{"token"}` for each piece of text, then one with `"done": true`, or one with `error`.'
)
_VALUES = 'SSE events with JSON: `{"partial"}` while the value grows, then one with `"done": true` and `data`.'
_UI = "For bodies of the AI SDK: the UI message stream, version 1."
_AGUI = "The events of AG-UI, from RUN_STARTED to RUN_FINISHED or RUN_ERROR."
_RESPONSE_EVENTS = "With `stream`: the events of OpenAI's Responses API."
_CHUNKS = "With `stream`: OpenAI's chunks, then `[DONE]`."

OtherAnswers = Mapping[int, tuple[str, Schema | None]]


@dataclass(frozen=True, slots=True)
class Operation:
    """A method of a route.

    Attributes:
        bodies: the models that its JSON body may have.
        form: the model of its form, whose files are in `image`.
        answers: the schema of each answer by media type; None if there is no body.
        query: the query parameters, each with its meaning.
        headers: the request headers besides those that all routes accept, each with its meaning.
        status: the status of a success.
        other_answers: answers with another status that are not errors: the meaning, and the schema of JSON, if any.
        is_billed: whether a request may cost money, so that the route accepts an Idempotency-Key.
    """

    bodies: tuple[type[RequestModel], ...] = ()
    form: type[RequestModel] | None = None
    answers: dict[str, Schema] | None = None
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    status: int = 200
    other_answers: OtherAnswers = field(default_factory=dict)
    is_billed: bool = False


def _events(event: str | None, description: str) -> dict[str, Schema]:
    """Describe a stream by the schema of one event, in `x-event`, as OpenAPI 3.1 has no keyword for that."""
    schema: Schema = {"description": description}
    return {EVENTS: schema if event is None else {**schema, "x-event": refer(event)}}


_NO_MORE_EVENTS: OtherAnswers = {204: ("There are no further events.", None)}
_UNCHANGED: OtherAnswers = {304: ("Not modified since the client's copy.", None)}


_PLAIN_TEXT: dict[str, Schema] = {TEXT: {"type": "string"}}
_TENANT = ("tenant", "The tenant; only for an administrator of all tenants.")
_NONE = Operation(status=204)

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("POST", "/api/chat"): Operation(
        (ChatRequest, UIMessagesRequest),
        answers={JSON: refer("ChatAnswer"), **_events("UIMessageEvent", _UI)},
        is_billed=True,
    ),
    ("POST", "/api/chat/stream"): Operation(
        (ChatRequest,), answers=_events("TokenEvent", _TOKENS), is_billed=True
    ),
    ("POST", "/api/chat/openai"): Operation((OpenAIChatRequest,), answers=_PLAIN_TEXT, is_billed=True),
    ("GET", "/api/chat/stream/<stream_id>"): Operation(
        answers=_events(None, "The remaining events of the stream, in its own format."),
        other_answers=_NO_MORE_EVENTS,
        query=(
            ("after", "The number of the last event that the client received."),
            ("access_token", "The credential, as an EventSource cannot send a header."),
        ),
        headers=(("Last-Event-ID", "Like `after`, and takes precedence over it."),),
    ),
    ("GET", "/api/chat/<chat_id>/stream"): Operation(
        answers=_events("UIMessageEvent", "The stream from its beginning."), other_answers=_NO_MORE_EVENTS
    ),
    ("POST", "/api/chat/stream/<stream_id>/stop"): _NONE,
    ("POST", "/api/completion"): Operation((CompletionRequest,), answers=_PLAIN_TEXT, is_billed=True),
    ("POST", "/api/agui"): Operation((AguiRequest,), answers=_events("AguiEvent", _AGUI), is_billed=True),
    ("POST", "/api/vision"): Operation(
        (VisionRequest,), form=VisionFields, answers={JSON: refer("ChatAnswer")}, is_billed=True
    ),
    ("POST", "/api/vision/stream"): Operation(
        (VisionRequest,), form=VisionFields, answers=_events("TokenEvent", _TOKENS), is_billed=True
    ),
    ("POST", "/api/embeddings"): Operation(
        (EmbeddingsRequest,), answers={JSON: refer("EmbeddingsAnswer")}, is_billed=True
    ),
    ("POST", "/api/embeddings/similarity"): Operation(
        (SimilarityRequest,), answers={JSON: refer("SimilarityAnswer")}, is_billed=True
    ),
    ("POST", "/api/structured"): Operation(
        (StructuredRequest,), answers={JSON: refer("StructuredAnswer")}, is_billed=True
    ),
    ("POST", "/api/structured/stream"): Operation(
        (StructuredRequest,),
        answers={**_events("ValueEvent", _VALUES), **_PLAIN_TEXT},
        query=(("format", "`text`: stream only the JSON text."),),
        is_billed=True,
    ),
    ("POST", "/api/tokens"): Operation((TokenRequest,), answers={JSON: refer("TokenAnswer")}, status=201),
    ("DELETE", "/api/tokens"): Operation(
        query=(("userId", "The user whose tokens are revoked."), _TENANT), status=204
    ),
    ("DELETE", "/api/tokens/<token_id>"): Operation(query=(_TENANT,), status=204),
    ("GET", "/api/usage"): Operation(
        answers={JSON: refer("UsageAnswer"), CSV: {"type": "string"}},
        query=(
            ("from", "The first day, such as 2026-01-31. Default: the first of this month."),
            ("to", "The last day. Default: today."),
            ("by", "The columns to group by, separated by commas."),
            ("format", "`json` or `csv`."),
            ("user", "The user; only for an administrator."),
            _TENANT,
        ),
    ),
    ("GET", "/api/limits"): Operation(answers={JSON: refer("AllLimits")}, query=(_TENANT,)),
    ("GET", "/api/limits/<kind>/<path:name>"): Operation(answers={JSON: refer("Limits")}, query=(_TENANT,)),
    ("PUT", "/api/limits/<kind>/<path:name>"): Operation(
        (LimitsRequest,), answers={JSON: refer("Limits")}, query=(_TENANT,)
    ),
    ("DELETE", "/api/limits/<kind>/<path:name>"): Operation(query=(_TENANT,), status=204),
    ("POST", "/api/batches"): Operation(
        (CreateBatchRequest,), answers={JSON: refer("Batch")}, status=201, is_billed=True
    ),
    ("GET", "/api/batches"): Operation(
        answers={JSON: refer("Batches")},
        query=(("limit", "The maximum number of batches."), ("before", "The id in `next` of the previous page.")),
    ),
    ("GET", "/api/batches/<batch_id>"): Operation(answers={JSON: refer("Batch")}),
    ("GET", "/api/batches/<batch_id>/results"): Operation(answers={JSON: refer("BatchResults")}),
    ("POST", "/api/batches/<batch_id>/cancel"): Operation(answers={JSON: refer("Batch")}),
    ("POST", "/v1/chat/completions"): Operation(
        (ChatCompletionsRequest,),
        answers={JSON: refer("ChatCompletion"), **_events("ChatCompletionChunk", _CHUNKS)},
        is_billed=True,
    ),
    ("POST", "/v1/responses"): Operation(
        (ResponsesRequest,),
        answers={JSON: refer("Response"), **_events("ResponseEvent", _RESPONSE_EVENTS)},
        is_billed=True,
    ),
    ("POST", "/v1/embeddings"): Operation(
        (V1EmbeddingsRequest,), answers={JSON: refer("V1Embeddings")}, is_billed=True
    ),
    ("GET", "/v1/models"): Operation(answers={JSON: refer("Models")}),
    ("GET", "/v1/models/<model_name:model>"): Operation(answers={JSON: refer("Model")}),
    ("GET", "/healthz"): Operation(answers={JSON: refer("Status")}),
    ("GET", "/readyz"): Operation(
        answers={JSON: refer("Status")},
        other_answers={503: ("The server cannot handle requests now.", refer("Status"))},
    ),
    ("POST", "/webhooks/openai"): Operation(
        status=204,
        headers=(
            ("webhook-id", "The id of the delivery."),
            ("webhook-timestamp", "The time at which it was sent."),
            ("webhook-signature", "OpenAI's signature."),
        ),
    ),
    ("GET", "/metrics"): Operation(answers=_PLAIN_TEXT),
    ("GET", "/openapi.json"): Operation(answers={JSON: {"type": "object"}}, other_answers=_UNCHANGED),
    ("GET", "/docs"): Operation(answers={"text/html": {"type": "string"}}, other_answers=_UNCHANGED),
    ("GET", "/docs/style.css"): Operation(answers={"text/css": {"type": "string"}}, other_answers=_UNCHANGED),
}
