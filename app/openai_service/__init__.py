"""The only code that calls OpenAI. Import it from here, and its errors from `app.openai_service.errors`.

- `service.py`: `OpenAIService`, one public method for each operation
- `chat_call.py`: `ChatCall`, the input of a call
- `results.py`: the results, and `CallRecord`, the metadata of a call
- `context.py`: `CallContext`, the interface to the caller: its client's connection, its budget, its tenant
- `errors.py`: the errors of upstream calls
- `call_recording.py`: passes the record of each call to the listeners, one of which writes its log line
- `cache.py`: a cache of results, separate for each tenant
- `owner_faults.py`: logs faults that only the site's owner can fix, such as a revoked key
- `key_check.py`: checks that the upstream accepts each key, and lists its models
- `chat/`: trimming, moderation and caching of conversations, and reading complete answers
- `resilience/`: fallback, retry, circuit breaker, and draining answers whose clients have disconnected
- `transport/`: requests, the SDK's client and its errors
- `responses/`: translates chat completions to requests for /responses, and its answers back
- `streaming/`: parses the bytes of a stream into `Events`
- `tools/`: server tools, and the loop of models and tools
- `structured/`: answers that match a JSON schema
- `embeddings/`: vectors and their cache
- `batches/`: OpenAI's Batch API
"""

from app.json_schema.optional_nulls import OriginalSchema
from app.models.token_counts import REASONING_ITEMS, Usage
from app.openai_service.batches.client import OpenAIBatches, may_exist
from app.openai_service.batches.objects import (
    OutputLine,
    UpstreamBatch,
    parse_chat_answer,
    parse_embeddings_answer,
    parse_structured_answer,
    read_line,
)
from app.openai_service.chat.input_window import InputWindow
from app.openai_service.chat_call import ChatCall
from app.openai_service.context import CallContext, NullContext
from app.openai_service.embeddings.vectors import VectorJson, cosine_similarities
from app.openai_service.responses.hosted_tools import HostedTools
from app.openai_service.results import Attempt, CallRecord, ChatResult, EmbeddingResult, StructuredResult
from app.openai_service.service import OpenAIService
from app.openai_service.streaming.chat_stream import ChatStream
from app.openai_service.streaming.events import (
    Annotation,
    Done,
    Event,
    Events,
    Failed,
    HostedStep,
    Parsed,
    PartialParsed,
    Reasoning,
    Refusal,
    Thought,
    Token,
    ToolCallDelta,
    ToolRun,
)
from app.openai_service.structured.checker import AnswerChecker
from app.openai_service.structured.stored import AnswerFormat
from app.openai_service.tools.tool import ServerTool, ToolError
from app.openai_service.transport.request import PendingRequest
from app.openai_service.transport.request_bodies import (
    CHAT_PATH,
    EMBEDDINGS_PATH,
    chat_body,
    embeddings_body,
    offered_model,
)
from app.openai_service.transport.sdk_client import BatchSender, build_client
from app.openai_service.transport.upstream import Upstream

__all__ = [
    "CHAT_PATH",
    "EMBEDDINGS_PATH",
    "REASONING_ITEMS",
    "Annotation",
    "AnswerChecker",
    "AnswerFormat",
    "Attempt",
    "BatchSender",
    "CallContext",
    "CallRecord",
    "ChatCall",
    "ChatResult",
    "ChatStream",
    "Done",
    "EmbeddingResult",
    "Event",
    "Events",
    "Failed",
    "HostedStep",
    "HostedTools",
    "InputWindow",
    "NullContext",
    "OpenAIBatches",
    "OpenAIService",
    "OriginalSchema",
    "OutputLine",
    "Parsed",
    "PartialParsed",
    "PendingRequest",
    "Reasoning",
    "Refusal",
    "ServerTool",
    "StructuredResult",
    "Thought",
    "Token",
    "ToolCallDelta",
    "ToolError",
    "ToolRun",
    "Upstream",
    "UpstreamBatch",
    "Usage",
    "VectorJson",
    "build_client",
    "chat_body",
    "cosine_similarities",
    "embeddings_body",
    "may_exist",
    "offered_model",
    "parse_chat_answer",
    "parse_embeddings_answer",
    "parse_structured_answer",
    "read_line",
]
