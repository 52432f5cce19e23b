"""The only code that knows OpenAI. Its public face; its errors are in `app.openai_service.errors`."""

from app.openai_service.batch_objects import (
    OutputLine,
    UpstreamBatch,
    chat_answer,
    embeddings_answer,
    read_line,
)
from app.openai_service.batches import OpenAIBatches, may_be_made
from app.openai_service.caller import Caller, Nobody
from app.openai_service.chat_stream import ChatStream
from app.openai_service.client import build_client
from app.openai_service.embeddings import cosine_similarities
from app.openai_service.events import (
    Batch,
    Done,
    Event,
    Failed,
    Filled,
    Partial,
    Reasoning,
    Refusal,
    Token,
    ToolCallDelta,
    ToolRun,
)
from app.openai_service.input_limits import InputLimits
from app.openai_service.optional_nulls import OriginalSchema
from app.openai_service.request_bodies import (
    CHAT_PATH,
    EMBEDDINGS_PATH,
    chat_body,
    embeddings_body,
    offered_model,
)
from app.openai_service.results import Attempt, CallRecord, ChatCall, ChatResult, EmbeddingResult, StructuredResult
from app.openai_service.server_tools import ServerTool, ToolError
from app.openai_service.service import OpenAIService
from app.openai_service.transport.request import PendingRequest
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
    "Filled",
    "InputLimits",
    "Nobody",
    "OpenAIBatches",
    "OpenAIService",
    "OriginalSchema",
    "OutputLine",
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
    "may_be_made",
    "offered_model",
    "read_line",
]
