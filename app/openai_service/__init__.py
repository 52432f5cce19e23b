"""The only code that knows OpenAI. Its public face; its errors are in `app.openai_service.errors`."""

from app.json_schema.optional_nulls import OriginalSchema
from app.openai_service.batches.client import OpenAIBatches, may_exist
from app.openai_service.batches.objects import (
    OutputLine,
    UpstreamBatch,
    chat_answer,
    embeddings_answer,
    read_line,
)
from app.openai_service.chat.input_window import InputWindow
from app.openai_service.context import Caller, Nobody
from app.openai_service.embeddings.vectors import cosine_similarities
from app.openai_service.results import Attempt, CallRecord, ChatCall, ChatResult, EmbeddingResult, StructuredResult
from app.openai_service.service import OpenAIService
from app.openai_service.streaming.chat_stream import ChatStream
from app.openai_service.streaming.events import (
    Batch,
    Done,
    Event,
    Failed,
    Parsed,
    Partial,
    Reasoning,
    Refusal,
    Token,
    ToolCallDelta,
    ToolRun,
)
from app.openai_service.tools.tool import ServerTool, ToolError
from app.openai_service.transport.request import PendingRequest
from app.openai_service.transport.request_bodies import (
    CHAT_PATH,
    EMBEDDINGS_PATH,
    chat_body,
    embeddings_body,
    offered_model,
)
from app.openai_service.transport.sdk_client import build_client
from app.openai_service.transport.upstream import Upstream
from app.token_counts import Usage

__all__ = [
    "CHAT_PATH",
    "EMBEDDINGS_PATH",
    "Attempt",
    "Batch",
    "CallRecord",
    "Caller",
    "ChatCall",
    "ChatResult",
    "ChatStream",
    "Done",
    "EmbeddingResult",
    "Event",
    "Failed",
    "InputWindow",
    "Nobody",
    "OpenAIBatches",
    "OpenAIService",
    "OriginalSchema",
    "OutputLine",
    "Parsed",
    "Partial",
    "PendingRequest",
    "Reasoning",
    "Refusal",
    "ServerTool",
    "StructuredResult",
    "Token",
    "ToolCallDelta",
    "ToolError",
    "ToolRun",
    "Upstream",
    "UpstreamBatch",
    "Usage",
    "build_client",
    "chat_answer",
    "chat_body",
    "cosine_similarities",
    "embeddings_answer",
    "embeddings_body",
    "may_exist",
    "offered_model",
    "read_line",
]
