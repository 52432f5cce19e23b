"""What each route takes and gives, besides what its view and its guard say."""

from __future__ import annotations

from dataclasses import dataclass

from app.web.openapi import answers
from app.web.openapi.answers import Schema
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
    'Events of `data: ` and JSON: `{"token"}` for each piece, then one with `"done": true`; or one with `error`.'
)
_VALUES = (
    'Events of `data: ` and JSON: `{"partial"}` while the value grows, then one with `"done": true` and `data`.'
)
_UI = "To the AI SDK: the UI message stream, version 1."
_AGUI = "The events of AG-UI, from RUN_STARTED to RUN_FINISHED or RUN_ERROR."
_RESPONSE_EVENTS = "With `stream`: the events of OpenAI's Responses API."
_CHUNKS = "With `stream`: OpenAI's chunks, then `[DONE]`."


@dataclass(frozen=True, slots=True)
class Operation:
    """A method of a route.

    Attributes:
        bodies: the models of its JSON body: one, or one of several.
        form: the model of its form, whose files are in `image`.
        answers: the schema of each kind of answer, by its media type. Empty: there is no body.
        query: the parameters that its URL may have, each with what it means.
        headers: that the request may have, besides those that all may have.
        status: of a success.
        is_billed: whether it may cost money, so that it takes an Idempotency-Key.
    """

    bodies: tuple[type[RequestModel], ...] = ()
    form: type[RequestModel] | None = None
    answers: dict[str, Schema] | None = None
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    status: int = 200
    is_billed: bool = False


def _events(description: str) -> dict[str, Schema]:
    return {EVENTS: {"type": "string", "description": description}}


_PLAIN_TEXT: dict[str, Schema] = {TEXT: {"type": "string"}}
_TENANT = ("tenant", "For an admin of all tenants: which one.")
_NONE = Operation(status=204)

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("POST", "/api/chat"): Operation(
        (ChatRequest, UIMessagesRequest), answers={JSON: answers.CHAT, **_events(_UI)}, is_billed=True
    ),
    ("POST", "/api/chat/stream"): Operation((ChatRequest,), answers=_events(_TOKENS), is_billed=True),
    ("POST", "/api/chat/openai"): Operation((OpenAIChatRequest,), answers=_PLAIN_TEXT, is_billed=True),
    ("GET", "/api/chat/stream/<stream_id>"): Operation(
        answers=_events("The events of the stream, from the next one on, in its own format."),
        query=(
            ("after", "The number of the last event that the reader has."),
            ("access_token", "The credential, as an EventSource cannot send a header."),
        ),
        headers=(("Last-Event-ID", "As `after`, which it comes before."),),
    ),
    ("GET", "/api/chat/<chat_id>/stream"): Operation(answers=_events("The stream, from its beginning.")),
    ("POST", "/api/chat/stream/<stream_id>/stop"): _NONE,
    ("POST", "/api/completion"): Operation((CompletionRequest,), answers=_PLAIN_TEXT, is_billed=True),
    ("POST", "/api/agui"): Operation((AguiRequest,), answers=_events(_AGUI), is_billed=True),
    ("POST", "/api/vision"): Operation(
        (VisionRequest,), form=VisionFields, answers={JSON: answers.CHAT}, is_billed=True
    ),
    ("POST", "/api/vision/stream"): Operation(
        (VisionRequest,), form=VisionFields, answers=_events(_TOKENS), is_billed=True
    ),
    ("POST", "/api/embeddings"): Operation(
        (EmbeddingsRequest,), answers={JSON: answers.EMBEDDINGS}, is_billed=True
    ),
    ("POST", "/api/embeddings/similarity"): Operation(
        (SimilarityRequest,), answers={JSON: answers.SIMILARITY}, is_billed=True
    ),
    ("POST", "/api/structured"): Operation(
        (StructuredRequest,), answers={JSON: answers.STRUCTURED}, is_billed=True
    ),
    ("POST", "/api/structured/stream"): Operation(
        (StructuredRequest,),
        answers={**_events(_VALUES), **_PLAIN_TEXT},
        query=(("format", "`text`: the bare JSON text, as it grows."),),
        is_billed=True,
    ),
    ("POST", "/api/tokens"): Operation((TokenRequest,), answers={JSON: answers.TOKEN}, status=201),
    ("DELETE", "/api/tokens"): Operation(query=(("userId", "Whose tokens."), _TENANT), status=204),
    ("DELETE", "/api/tokens/<token_id>"): Operation(query=(_TENANT,), status=204),
    ("GET", "/api/usage"): Operation(
        answers={JSON: answers.USAGE, CSV: {"type": "string"}},
        query=(
            ("from", "The first day, as 2026-01-31; without it the first of this month."),
            ("to", "The last day; without it today."),
            ("by", "What the rows are grouped by, separated by commas."),
            ("format", "`json` or `csv`."),
            ("user", "For an admin: whose usage."),
            _TENANT,
        ),
    ),
    ("GET", "/api/limits"): Operation(answers={JSON: answers.ALL_LIMITS}, query=(_TENANT,)),
    ("GET", "/api/limits/<kind>/<path:name>"): Operation(answers={JSON: answers.LIMITS}, query=(_TENANT,)),
    ("PUT", "/api/limits/<kind>/<path:name>"): Operation(
        (LimitsRequest,), answers={JSON: answers.LIMITS}, query=(_TENANT,)
    ),
    ("DELETE", "/api/limits/<kind>/<path:name>"): Operation(query=(_TENANT,), status=204),
    ("POST", "/api/batches"): Operation(
        (CreateBatchRequest,), answers={JSON: answers.BATCH}, status=201, is_billed=True
    ),
    ("GET", "/api/batches"): Operation(
        answers={JSON: answers.BATCHES},
        query=(("limit", "How many at most."), ("before", "The id in `next` of the page before.")),
    ),
    ("GET", "/api/batches/<batch_id>"): Operation(answers={JSON: answers.BATCH}),
    ("GET", "/api/batches/<batch_id>/results"): Operation(answers={JSON: answers.ANY}),
    ("POST", "/api/batches/<batch_id>/cancel"): Operation(answers={JSON: answers.BATCH}),
    ("POST", "/v1/chat/completions"): Operation(
        (ChatCompletionsRequest,), answers={JSON: answers.COMPLETION, **_events(_CHUNKS)}, is_billed=True
    ),
    ("POST", "/v1/responses"): Operation(
        (ResponsesRequest,), answers={JSON: answers.ANY, **_events(_RESPONSE_EVENTS)}, is_billed=True
    ),
    ("POST", "/v1/embeddings"): Operation(
        (V1EmbeddingsRequest,), answers={JSON: answers.V1_EMBEDDINGS}, is_billed=True
    ),
    ("GET", "/v1/models"): Operation(answers={JSON: answers.MODELS}),
    ("GET", "/v1/models/<path:model>"): Operation(answers={JSON: answers.MODEL}),
    ("GET", "/healthz"): Operation(answers={JSON: answers.ANY}),
    ("GET", "/readyz"): Operation(answers={JSON: answers.ANY}),
    ("POST", "/webhooks/openai"): Operation(
        answers={JSON: answers.ANY},
        headers=(
            ("webhook-id", "Of the delivery."),
            ("webhook-timestamp", "When it was sent."),
            ("webhook-signature", "OpenAI's signature."),
        ),
    ),
    ("GET", "/metrics"): Operation(answers=_PLAIN_TEXT),
    ("GET", "/openapi.json"): Operation(answers={JSON: answers.ANY}),
    ("GET", "/docs"): Operation(answers={"text/html": {"type": "string"}}),
    ("GET", "/docs/style.css"): Operation(answers={"text/css": {"type": "string"}}),
}
