"""The named schemas of answers: those that other schemas refer to, or that client generators need by name."""

from __future__ import annotations

from app.web.openapi import answers, events, v1_response
from app.web.openapi.schema import Schema

COMPONENTS: dict[str, Schema] = {
    "Usage": answers.TOKEN_COUNTS,
    "ToolCall": answers.TOOL_CALL,
    "CustomToolCall": answers.CUSTOM_TOOL_CALL,
    "ChatAnswer": answers.CHAT,
    "StructuredAnswer": answers.STRUCTURED,
    "EmbeddingsAnswer": answers.EMBEDDINGS,
    "SimilarityAnswer": answers.SIMILARITY,
    "TokenAnswer": answers.TOKEN,
    "UsageAnswer": answers.USAGE,
    "Limits": answers.LIMITS,
    "AllLimits": answers.ALL_LIMITS,
    "Batch": answers.BATCH,
    "Batches": answers.BATCHES,
    "BatchResults": answers.BATCH_RESULTS,
    "ChatCompletion": answers.COMPLETION,
    "ChatCompletionChunk": events.CHUNK_EVENT,
    "V1Embeddings": answers.V1_EMBEDDINGS,
    "Model": answers.MODEL,
    "Models": answers.MODELS,
    "Response": v1_response.RESPONSE,
    "OutputItem": v1_response.OUTPUT_ITEM,
    "ResponseEvent": v1_response.EVENT,
    "TokenEvent": events.TOKEN_EVENT,
    "ValueEvent": events.VALUE_EVENT,
    "UIMessageEvent": events.UI_EVENT,
    "AguiEvent": events.AGUI_EVENT,
    "Status": answers.STATUS,
    "Error": answers.API_ERROR,
    "MessageError": answers.MESSAGE_ERROR,
    "OpenAIError": answers.OPENAI_ERROR,
}
