"""The only code that knows OpenAI. Its public face."""

from app.openai_service.chat_stream import ChatStream
from app.openai_service.client import build_client
from app.openai_service.embeddings import cosine_similarities
from app.openai_service.errors import (
    BodyTooLarge,
    ContentFiltered,
    ContextLengthExceeded,
    InvalidImage,
    ModelNotOffered,
    Refused,
    SchemaNotUsable,
    Truncated,
    UnsupportedSchema,
    UpstreamError,
    UpstreamFailed,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamTruncated,
    UpstreamUnavailable,
)
from app.openai_service.events import (
    Batch,
    Done,
    Event,
    Failed,
    Reasoning,
    Refusal,
    Token,
    ToolCallDelta,
    Usage,
)
from app.openai_service.results import CallRecord, ChatCall, ChatResult, EmbeddingResult, StructuredResult
from app.openai_service.service import OpenAIService

__all__ = [
    "Batch",
    "BodyTooLarge",
    "CallRecord",
    "ChatCall",
    "ChatResult",
    "ChatStream",
    "ContentFiltered",
    "ContextLengthExceeded",
    "Done",
    "EmbeddingResult",
    "Event",
    "Failed",
    "InvalidImage",
    "ModelNotOffered",
    "OpenAIService",
    "Reasoning",
    "Refusal",
    "Refused",
    "SchemaNotUsable",
    "StructuredResult",
    "Token",
    "ToolCallDelta",
    "Truncated",
    "UnsupportedSchema",
    "UpstreamError",
    "UpstreamFailed",
    "UpstreamRateLimited",
    "UpstreamRejected",
    "UpstreamTimeout",
    "UpstreamTruncated",
    "UpstreamUnavailable",
    "Usage",
    "build_client",
    "cosine_similarities",
]
