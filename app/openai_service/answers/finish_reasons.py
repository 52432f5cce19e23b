"""Why an answer ended: the words of many servers, in those of our API."""

from __future__ import annotations

from app.openai_service.errors import UpstreamTruncated

# Of OpenAI, Anthropic, Gemini, Cohere, Mistral, Bedrock, TGI, Together and Zhipu, in lower case with underscores.
_WORDS = {
    "stop": "stop end_turn stop_sequence stop_token eos eos_token end_of_sequence complete completed",
    "length": "length max_tokens max_output_tokens max_completion_tokens max_length model_length token_limit"
    " model_context_window_exceeded context_length_exceeded error_limit",
    "tool_calls": "tool_calls tool_call tool_use function_call function_calls",
    "content_filter": "content_filter content_filtered safety refusal recitation blocklist prohibited_content spii"
    " language image_safety image_prohibited_content image_recitation model_armor guardrail_intervened sensitive"
    " error_toxic",
    "cut off": "abort aborted error errored failed fail cancel canceled cancelled user_cancel timeout interrupted"
    " incomplete network_error server_error insufficient_system_resource",
}
_MEANINGS = {word: meaning for meaning, words in _WORDS.items() for word in words.split()}


def read_finish_reason(upstream: object, *, has_tool_calls: bool) -> str:
    """Return stop, length, content_filter, tool_calls, or unknown for no reason and for a word that nobody knows.

    Some servers, and a forced choice of a tool, end with "stop" although the answer has tool calls.

    Raises:
        UpstreamTruncated: the server broke off.
    """
    if not isinstance(upstream, str):
        return "unknown"
    meaning = _MEANINGS.get(upstream) or _MEANINGS.get(_normalize(upstream), "unknown")
    if meaning == "cut off":
        raise UpstreamTruncated
    return "tool_calls" if meaning == "stop" and has_tool_calls else meaning


def _normalize(word: str) -> str:
    """Return a word without its spelling: `MAX_TOKENS`, `content-filter`, `FinishReason.STOP`, `content_filter: SAFETY`."""
    word = word.partition(":")[0].strip().rpartition(".")[2]
    return word.lower().replace("-", "_").replace(" ", "_").removeprefix("finish_reason_")
