"""Maps the finish reasons of many servers to those of our API."""

from __future__ import annotations

from app.openai_service.errors import UpstreamTruncated

# The reasons of OpenAI, Anthropic, Gemini, Cohere, Mistral, Bedrock, TGI, Together and Zhipu, in normalized spelling.
_UPSTREAM_REASONS = {
    "stop": "stop end_turn stop_sequence stop_token eos eos_token end_of_sequence complete completed",
    "length": "length max_tokens max_output_tokens max_completion_tokens max_length model_length token_limit"
    " model_context_window_exceeded context_length_exceeded error_limit",
    "tool_calls": "tool_calls tool_call tool_use function_call function_calls",
    "content_filter": "content_filter content_filtered safety refusal recitation blocklist prohibited_content spii"
    " language image_safety image_prohibited_content image_recitation model_armor guardrail_intervened sensitive"
    " error_toxic",
    "aborted": "abort aborted error errored failed fail cancel canceled cancelled user_cancel timeout interrupted"
    " incomplete network_error server_error insufficient_system_resource",
}
_REASONS = {word: reason for reason, words in _UPSTREAM_REASONS.items() for word in words.split()}


def read_finish_reason(upstream: object, *, has_tool_calls: bool) -> str:
    """Return stop, length, content_filter or tool_calls; `unknown` if the reason is missing or not in the list.

    An answer with tool calls can end with "stop": on some servers, and after a forced tool choice.

    Raises:
        UpstreamTruncated: the server aborted the answer.
    """
    if not isinstance(upstream, str):
        return "unknown"
    reason = _REASONS.get(upstream) or _REASONS.get(_normalize(upstream), "unknown")
    if reason == "aborted":
        raise UpstreamTruncated
    return "tool_calls" if reason == "stop" and has_tool_calls else reason


def _normalize(word: str) -> str:
    """Return a reason in lower case with underscores.

    Handles `MAX_TOKENS`, `content-filter`, `FinishReason.STOP` and `content_filter: SAFETY`.
    """
    word = word.partition(":")[0].strip().rpartition(".")[2]
    return word.lower().replace("-", "_").replace(" ", "_").removeprefix("finish_reason_")
