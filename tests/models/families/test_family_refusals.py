"""What the service answers to a body, row by row as it was recorded."""

from __future__ import annotations

from datetime import date
from typing import get_type_hints

import pytest
from openai.types import embedding_create_params, moderation_create_params
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params
from openai.types.responses.service_tier import ServiceTier

from app.models.families import find_refusal
from app.models.families.catalog import read_table
from app.models.families.refusals.endpoints import _ENDPOINTS
from app.models.families.refusals.request import Request
from tests.fakes.tables import each_row

TODAY = date(2026, 11, 27)
CHAT = {"messages": [{"role": "user", "content": "Hi"}]}
RESPONSES = {"input": "Hi", "store": False}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
FLAT_TOOL = {
    "type": "function",
    "name": "look",
    "strict": False,
    "parameters": {"type": "object", "properties": {}},
}
CALL = {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "42"}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": []}
CHAT_CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}


def on_chat(model, **fields):
    return find_refusal("/v1/chat/completions", {"model": model, **CHAT, **fields}, today=TODAY)


def on_responses(model, **fields):
    return find_refusal("/v1/responses", {"model": model, **RESPONSES, **fields}, today=TODAY)


def messages(*turns):
    return {"messages": [{"role": role, **rest} for role, rest in turns]}


def unsupported(name):
    return f"Unsupported parameter: '{name}' is not supported with this model."


REFUSED_ON_CHAT = [
    # model, fields, status, param, code, beginning of the message
    ("gpt-6.1-terra", {"tools": [TOOL]}, 400, "reasoning_effort", None, "Function tools with reasoning_effort are not supported for gpt-6.1-terra in /v1/chat/completions. To use function tools, use /v1/responses or set reasoning_effort to 'none'."),
    ("gpt-6.1-terra", {"tools": [TOOL], "reasoning_effort": "low"}, 400, "reasoning_effort", None, "Function tools with reasoning_effort"),
    ("gpt-6-luna", {"tools": [TOOL]}, 400, "reasoning_effort", None, "Function tools with reasoning_effort"),
    ("gpt-5.6-sol", {"tools": [TOOL], "tool_choice": "none"}, 400, "reasoning_effort", None, "Function tools with reasoning_effort"),
    ("gpt-5.5", {"tools": [TOOL]}, 400, "reasoning_effort", None, "Function tools with reasoning_effort are not supported for gpt-5.5 in /v1/chat/completions. Please use /v1/responses instead."),
    ("gpt-5.4", {"tools": [TOOL], "reasoning_effort": "high"}, 400, "reasoning_effort", None, "Function tools with reasoning_effort"),
    ("gpt-6-astra", {"tools": [TOOL]}, 400, "reasoning_effort", None, "Function tools with reasoning_effort are not supported for gpt-6-astra in /v1/chat/completions. Please use"),
    ("gpt-6.1-sol", {"tools": [TOOL], "reasoning_effort": "low"}, 400, "reasoning_effort", None, "Function tools with"),
    ("gpt-6-astra", {"functions": [{"name": "look"}]}, 400, "reasoning_effort", None, "Function tools with"),
    ("gpt-6.1-terra", {"reasoning_effort": "max"}, 400, "reasoning_effort", "unsupported_value", "Unsupported value: 'reasoning_effort' does not support 'max' with this model. Supported values are: 'none', 'low', 'medium', 'high', and 'xhigh'."),
    ("gpt-6-astra", {"reasoning_effort": "none"}, 400, "reasoning_effort", "unsupported_value", "Unsupported value: 'reasoning_effort' does not support 'none' with this model. Supported values are: 'low', "),
    ("gpt-6.1-sol", {"reasoning_effort": "minimal"}, 400, "reasoning_effort", "unsupported_value", "Unsupported value"),
    ("gpt-5", {"reasoning_effort": "none"}, 400, "reasoning_effort", "unsupported_value", "Unsupported value"),
    ("gpt-5.1", {"reasoning_effort": "xhigh"}, 400, "reasoning_effort", "unsupported_value", "Unsupported value"),
    ("o3", {"reasoning_effort": "minimal"}, 400, "reasoning_effort", "unsupported_value", "Unsupported value"),
    ("gpt-4o", {"reasoning_effort": "low"}, 400, "reasoning_effort", "unsupported_parameter", unsupported("reasoning_effort")),
    ("gpt-4o", {"reasoning_effort": "ultra"}, 400, "reasoning_effort", "invalid_value", "Invalid value: 'ultra'."),
    ("gpt-6.1-terra", {"temperature": 0.1}, 400, "temperature", "unsupported_value", "Unsupported value: 'temperature' does not support 0.1 with this model. Only the default (1) value is supported."),
    ("gpt-5.4", {"temperature": 0, "reasoning_effort": "low"}, 400, "temperature", "unsupported_value", "Unsupported value: 'temperature' does not support 0 "),
    ("o3", {"temperature": 0}, 400, "temperature", "unsupported_value", "Unsupported value: 'temperature'"),
    ("gpt-6-astra", {"top_p": 0.5}, 400, "top_p", "unsupported_parameter", unsupported("top_p")),
    ("gpt-6.1-terra", {"logprobs": True}, 400, "logprobs", "unsupported_parameter", unsupported("logprobs")),
    ("gpt-6.1-terra", {"top_logprobs": 2}, 400, "top_logprobs", "unsupported_parameter", unsupported("top_logprobs")),
    ("gpt-5.5", {"presence_penalty": 1}, 400, "presence_penalty", "unsupported_parameter", unsupported("presence_penalty")),
    ("gpt-5", {"frequency_penalty": 1}, 400, "frequency_penalty", "unsupported_parameter", unsupported("frequency_penalty")),
    ("o3", {"logit_bias": {"1": 1}}, 400, "logit_bias", "unsupported_parameter", unsupported("logit_bias")),
    ("gpt-6-luna", {"max_tokens": 5}, 400, "max_tokens", "unsupported_parameter", "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."),
    ("gpt-6-astra", {"stop": ["x"]}, 400, "stop", "unsupported_parameter", unsupported("stop")),
    ("o3", {"stop": "x"}, 400, "stop", "unsupported_parameter", unsupported("stop")),
    ("gpt-4o", {"verbosity": "low"}, 400, "verbosity", "unsupported_value", "Unsupported value: 'verbosity' does not support 'low' with this model. Supported values are: 'medium'."),
    ("gpt-6-sol", {"verbosity": "loud"}, 400, "verbosity", "invalid_value", "Invalid value: 'loud'."),
    ("gpt-6-sol", {"prompt_cache_key": "k" * 65}, 400, "prompt_cache_key", "string_above_max_length", "Invalid 'prompt_cache_key': string too long. Expected a string with maximum length 64, but got a string with length 65 instead."),
    ("gpt-6-sol", {"safety_identifier": "k" * 129}, 400, "safety_identifier", "string_above_max_length", "Invalid 'safety_identifier'"),
    ("gpt-6-sol", {"max_completion_tokens": 0}, 400, "max_completion_tokens", "integer_below_min_value", "Invalid 'max_completion_tokens'"),
    ("gpt-6-astra", {"max_completion_tokens": 1}, 400, None, None, "Could not finish the message because max_tokens"),
    ("gpt-6-sol", {"service_tier": "cheap"}, 400, "service_tier", None, "Invalid service_tier argument"),
    ("gpt-5.6-sol", {"service_tier": "ultrafast"}, 400, "service_tier", None, "Invalid service_tier argument"),
    ("gpt-5.5-pro", {}, 404, "model", None, "This model is only supported in v1/responses and not in v1/chat/completions."),
    ("o3-pro-2025-06-10", {}, 404, "model", None, "This model is only supported in v1/responses"),
    ("gpt-5.3-codex", {}, 404, "model", None, "This is not a chat model"),
    ("gpt-6-sol", {"max_output_tokens": 50}, 400, "max_output_tokens", "unknown_parameter", "Unknown parameter: 'max_output_tokens'."),
    ("gpt-6-sol", {"reasoning": {"effort": "low"}}, 400, "reasoning", "unknown_parameter", "Unknown parameter: 'reasoning'."),
    ("gpt-6-sol", {"input": "Hi"}, 400, "input", "unknown_parameter", "Unknown parameter: 'input'."),
    ("my-deployment", {"maxTokens": 5}, 400, "maxTokens", "unknown_parameter", "Unknown parameter: 'maxTokens'."),
    ("gpt-4o", {"prompt_cache_options": {"mode": "explicit"}}, 400, "prompt_cache_options", "unsupported_parameter", unsupported("prompt_cache_options")),
    ("gpt-6-sol", {"prompt_cache_options": {"mode": "none"}}, 400, "prompt_cache_options.mode", "invalid_value", "Invalid value: 'none'."),
    ("gpt-6-sol", {"prompt_cache_options": {"ttl": "12h"}}, 400, "prompt_cache_options.ttl", "invalid_value", "Invalid value: '12h'."),
    ("gpt-6-sol", {"prompt_cache_retention": "24h"}, 400, "prompt_cache_retention", "unsupported_parameter", unsupported("prompt_cache_retention")),
    ("gpt-5.4", messages(("user", {"content": [{"type": "text", "text": "Hi", "prompt_cache_breakpoint": {"mode": "explicit"}}]})), 400, None, None, "prompt_cache_breakpoint is not supported on this model"),
    ("gpt-4", {}, 404, None, "model_not_found", "The model `gpt-4` has been deprecated"),
    ("gpt-4-0613", {}, 404, None, "model_not_found", "The model `gpt-4-0613` has been deprecated"),
    ("ft:gpt-3.5-turbo:acme::1", {}, 404, None, "model_not_found", "The model `ft:gpt-3.5-turbo:acme::1` has"),
    ("gpt-4o-2024-05-13", {}, 404, None, "model_not_found", "The model"),
    ("gpt-6-sol", {"stream_options": {"include_usage": True}}, 400, "stream_options", None, "The 'stream_options' parameter is only allowed when 'stream' is enabled."),
    ("gpt-6-sol", {"stream": True, "stream_options": {"usage": True}}, 400, "stream_options.usage", "unknown_parameter", "Unknown parameter"),
    ("gpt-4o", {"tools": []}, 400, "tools", "empty_array", "Invalid 'tools': empty array."),
    ("gpt-4o", {"tool_choice": "auto"}, 400, "tool_choice", None, "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified."),
    ("gpt-4o", {"parallel_tool_calls": True}, 400, "parallel_tool_calls", None, "Invalid value for 'parallel_tool_calls'"),
    ("o3", {"tools": [TOOL], "parallel_tool_calls": True}, 400, "parallel_tool_calls", "unsupported_parameter", unsupported("parallel_tool_calls")),
    ("gpt-4o", {"tools": [FLAT_TOOL]}, 400, "tools[0].function", "missing_required_parameter", "Missing required parameter: 'tools[0].function'."),
    ("gpt-4o", {"response_format": {"type": "json_object"}}, 400, "messages", None, "'messages' must contain the word 'json'"),
    ("gpt-4o", messages(("robot", {"content": "Hi"})), 400, "messages[0].role", "invalid_value", "Invalid value: 'robot'."),
    ("gpt-4o", messages(("user", {"content": [{"type": "input_text", "text": "Hi"}]})), 400, "messages[0].content[0].type", "invalid_value", "Invalid value: 'input_text'."),
    ("gpt-4o", messages(("user", {"content": "Hi"}), ("assistant", {"tool_calls": [CHAT_CALL]})), 400, "messages", None, "An assistant message with 'tool_calls' must be followed"),
    ("gpt-4o", messages(("assistant", {"tool_calls": [CHAT_CALL]}), ("user", {"content": "Hi"})), 400, "messages", None, "An assistant message with"),
    ("gpt-4o", messages(("user", {"content": "Hi"}), ("tool", {"tool_call_id": "call_1", "content": "42"})), 400, "messages.[1].role", None, "Invalid parameter: messages with role 'tool' must"),
]  # fmt: skip

REFUSED_ON_RESPONSES = [
    ("gpt-6-sol", {"messages": []}, 400, "messages", "unsupported_parameter", "Unsupported parameter: 'messages'. In the Responses API, this parameter has moved to 'input'."),
    ("gpt-6-sol", {"response_format": {}}, 400, "response_format", "unsupported_parameter", "Unsupported parameter: 'response_format'. In the Responses API, this parameter has moved to 'text.format'."),
    ("gpt-6-sol", {"max_completion_tokens": 50}, 400, "max_completion_tokens", "unsupported_parameter", "Unsupported parameter: 'max_completion_tokens'. In"),
    ("gpt-6-sol", {"max_tokens": 50}, 400, "max_tokens", "unsupported_parameter", "Unsupported parameter: 'max_tokens'. In"),
    ("gpt-6-sol", {"reasoning_effort": "low"}, 400, "reasoning_effort", "unsupported_parameter", "Unsupported parameter: 'reasoning_effort'. In"),
    ("gpt-6-sol", {"verbosity": "low"}, 400, "verbosity", "unsupported_parameter", "Unsupported parameter: 'verbosity'. In"),
    *(
        ("gpt-4o", {name: 1}, 400, name, "unknown_parameter", f"Unknown parameter: '{name}'.")
        for name in ("stop", "n", "seed", "logit_bias", "presence_penalty", "frequency_penalty", "prediction", "audio", "logprobs")
    ),
    ("gpt-6-sol", {"stream": True, "stream_options": {"include_usage": True}}, 400, "stream_options.include_usage", "unknown_parameter", "Unknown parameter: 'stream_options.include_usage'."),
    ("gpt-6-sol", {"max_output_tokens": 15}, 400, "max_output_tokens", "integer_below_min_value", "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 15 instead."),
    ("gpt-6-sol", {"prompt_cache_key": "k" * 65}, 400, "prompt_cache_key", "string_above_max_length", "Invalid 'prompt_cache_key'"),
    ("gpt-6-sol", {"safety_identifier": "k" * 129}, 400, "safety_identifier", "string_above_max_length", "Invalid 'safety_identifier'"),
    ("gpt-6-sol", {"service_tier": "ultrafast"}, 400, "service_tier", None, "Invalid service_tier argument"),
    ("gpt-6-astra", {"reasoning": {"effort": "none"}}, 400, "reasoning.effort", "unsupported_value", "Unsupported value: 'reasoning.effort' does not support 'none' with this model. Supported values are: 'low', 'medium', 'high', 'xhigh', and 'max'."),
    ("gpt-5.5", {"reasoning": {"effort": "max"}}, 400, "reasoning.effort", "unsupported_value", "Unsupported value"),
    ("gpt-4o", {"reasoning": {"effort": "low"}}, 400, "reasoning.effort", "unsupported_parameter", unsupported("reasoning.effort")),
    ("gpt-4o", {"reasoning": {"summary": "auto"}}, 400, "reasoning.summary", "unsupported_parameter", unsupported("reasoning.summary")),
    ("gpt-6.1-terra", {"temperature": 0.1}, 400, "temperature", None, unsupported("temperature")),
    ("gpt-6.1-terra", {"temperature": 1}, 400, "temperature", None, unsupported("temperature")),
    ("gpt-6.1-sol", {"top_p": 0.5}, 400, "top_p", None, unsupported("top_p")),
    ("o3", {"top_logprobs": 2}, 400, "top_logprobs", None, unsupported("top_logprobs")),
    ("gpt-6-sol", {"include": ["message.output_text.logprobs"]}, 400, "include", None, "Unsupported include"),
    ("gpt-4.1", {"text": {"verbosity": "high"}}, 400, "text.verbosity", "unsupported_value", "Unsupported value: 'text.verbosity' does not support 'high' with this model. Supported values are: 'medium'."),
    ("gpt-4.1", {"include": ["reasoning.encrypted_content"]}, 400, "include", None, "Encrypted content is not supported with this model."),
    ("gpt-4.1", {"input": [{**THOUGHT, "encrypted_content": "gAAA"}]}, 400, None, None, "Encrypted content is not supported with this model."),
    ("gpt-4", {}, 400, "model", "model_not_found", "The model `gpt-4` has been deprecated"),
    ("gpt-audio-mini", {}, 404, "model", None, "This model is not supported in the v1/responses endpoint."),
    ("gpt-5.4", {"prompt_cache_options": {"mode": "explicit"}}, 400, "prompt_cache_options", "unsupported_parameter", unsupported("prompt_cache_options")),
    ("gpt-5.4", {"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi", "prompt_cache_breakpoint": {}}]}]}, 400, None, None, "prompt_cache_breakpoint is not supported on this model"),
    ("gpt-6-sol", {"input": None}, 400, "input", "missing_required_parameter", "Missing required parameter: 'input'."),
    ("gpt-6-sol", {"input": [CALL]}, 400, "input", None, "No tool output found for function call call_1."),
    ("gpt-6-sol", {"input": [CALL, {"role": "user", "content": "Hi"}]}, 400, "input", None, "No tool output found for function call call_1."),
    ("gpt-6-sol", {"input": [OUTPUT]}, 400, "input", None, "No tool call found for function call output with call_id call_1."),
    ("gpt-6-sol", {"input": [OUTPUT, CALL]}, 400, "input", None, "No tool call found for function call output with call_id call_1."),
    ("gpt-6-sol", {"input": [THOUGHT]}, 404, "input", None, "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false."),
    ("gpt-6-sol", {"input": [{"type": "item_reference", "id": "rs_2"}]}, 404, "input", None, "Item with id 'rs_2' not found."),
    ("gpt-6-sol", {"input": [{"type": "reasoning", "id": "rs_1", "encrypted_content": "gAAA"}]}, 400, "input[0].summary", "missing_required_parameter", "Missing required parameter: 'input[0].summary'."),
    ("gpt-6-sol", {"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "Hi"}]}]}, 400, "input[0].content[0]", "invalid_value", "Invalid value: 'input_text'. Supported values are: 'output_text' and 'refusal'."),
    ("gpt-6-sol", {"input": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}, 400, "input[0].content[0]", "invalid_value", "Invalid value: 'text'."),
    ("gpt-6-sol", {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": {"url": "data:"}}]}]}, 400, "input[0].content[0].image_url", "invalid_type", "Invalid type"),
    ("gpt-6-sol", {"input": [{"role": "tool", "content": "Hi"}]}, 400, "input[0].role", "invalid_value", "Invalid value: 'tool'."),
    ("gpt-6-sol", {"tools": [TOOL]}, 400, "tools[0].name", "missing_required_parameter", "Missing required parameter: 'tools[0].name'."),
    ("gpt-6-sol", {"tools": [FLAT_TOOL], "tool_choice": {"type": "function", "function": {"name": "look"}}}, 400, "tool_choice.name", "missing_required_parameter", "Missing"),
    ("gpt-6-sol", {"text": {"format": {"type": "json_schema", "json_schema": {}}}}, 400, "text.format.name", "missing_required_parameter", "Missing"),
    ("gpt-6-sol", {"text": {"format": {"type": "xml"}}}, 400, "text.format.type", "invalid_value", "Invalid value: 'xml'."),
    ("gpt-6-sol", {"text": {"format": {"type": "json_object"}}, "instructions": "Answer in JSON."}, 400, "input", None, "Response input messages must contain the word 'json'"),
]  # fmt: skip

TAKEN_ON_CHAT = [
    ("gpt-6.1-terra", {"tools": [TOOL], "reasoning_effort": "none"}),
    ("gpt-5.4", {"tools": [TOOL]}),
    ("gpt-5.1", {"tools": [TOOL], "reasoning_effort": "high"}),
    ("gpt-5", {"tools": [TOOL]}),
    ("o3", {"tools": [TOOL]}),
    ("gpt-4o", {"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": False}),
    ("gpt-5.4", {"temperature": 0, "top_p": 0.5, "logprobs": True}),
    ("gpt-6-sol", {"temperature": 0, "top_p": 0.5, "reasoning_effort": "none"}),
    ("gpt-6.1-terra", {"temperature": 1}),
    ("gpt-4o", {"temperature": 0, "stop": ["x"], "max_tokens": 1, "presence_penalty": 1, "seed": 1, "n": 2}),
    ("gpt-4o", {"max_completion_tokens": 1}),
    ("gpt-6-astra", {"verbosity": "low", "max_completion_tokens": 2, "reasoning_effort": "xhigh"}),
    ("gpt-6-sol", {"temperature": None, "stop": None, "tools": None, "max_tokens": None}),
    ("gpt-6-sol", {"prompt_cache_key": "k" * 64, "safety_identifier": "s" * 128, "store": False, "service_tier": "fast"}),
    ("gpt-6-sol", {"prompt_cache_options": {"mode": "explicit", "ttl": "30m"}}),
    ("gpt-5.4", {"prompt_cache_retention": "24h"}),
    ("gpt-6-sol", {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}}),
    ("gpt-6-sol", messages(("developer", {"content": "Be brief."}), ("user", {"content": "Hi"}))),
    ("gpt-6-sol", messages(("assistant", {"content": None, "tool_calls": [CHAT_CALL]}), ("tool", {"tool_call_id": "call_1", "content": "42"}))),
    ("gpt-6-sol", {"response_format": {"type": "json_object"}, **messages(("user", {"content": [{"type": "text", "text": "As JSON"}]}))}),
    ("my-deployment", {"tools": [TOOL], "temperature": 0, "stop": "x", "max_tokens": 1, "verbosity": "low"}),
]  # fmt: skip

TAKEN_ON_RESPONSES = [
    *((model, {"tools": [FLAT_TOOL], "tool_choice": {"type": "function", "name": "look"}}) for model in ("gpt-6.1-terra", "gpt-6-astra", "gpt-4o", "o3", "gpt-5.5-pro")),
    ("gpt-6-astra", {"reasoning": {"effort": "max", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}),
    ("gpt-6-sol", {"reasoning": {"effort": "none"}, "temperature": 0.2}),
    ("gpt-5.4", {"temperature": 0.2}),
    ("gpt-6-sol", {"max_output_tokens": 16, "parallel_tool_calls": True, "instructions": "Be brief.", "truncation": "disabled"}),
    ("gpt-5.6-sol", {"service_tier": "ultrafast"}),
    ("gpt-6-sol", {"prompt_cache_options": {"ttl": "12h"}}),
    ("gpt-6-sol", {"stream": True, "stream_options": {"include_obfuscation": False}}),
    ("gpt-6-sol", {"input": [{**THOUGHT, "encrypted_content": "gAAA"}, CALL, {**CALL, "call_id": "call_2"}, {"role": "user", "content": "So?"}, OUTPUT, {**OUTPUT, "call_id": "call_2"}]}),
    ("gpt-6-sol", {"input": [THOUGHT], "store": True}),
    ("gpt-6-sol", {"input": [OUTPUT], "previous_response_id": "resp_1"}),
    ("gpt-6-sol", {"input": [{"role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}, {"role": "user", "content": [{"type": "input_text", "text": "Hi"}, {"type": "input_image", "image_url": "data:"}]}]}),
    ("gpt-6-sol", {"text": {"format": {"type": "json_object"}, "verbosity": "low"}, "input": "As JSON"}),
    ("gpt-6-sol", {"text": {"format": {"type": "json_schema", "name": "x", "schema": {}, "strict": True}}}),
    ("my-deployment", {"temperature": 0}),
]  # fmt: skip


@each_row("row", REFUSED_ON_CHAT)
def test_chat_refuses(row):
    check(on_chat(row[0], **row[1]), row)


@each_row("row", REFUSED_ON_RESPONSES)
def test_responses_refuses(row):
    check(on_responses(row[0], **row[1]), row)


def check(refusal, row):
    *_, status, param, code, beginning = row
    assert refusal is not None
    assert (refusal.status, refusal.error["type"]) == (status, "invalid_request_error")
    assert (refusal.error["param"], refusal.error["code"]) == (param, code)
    assert refusal.error["message"].startswith(beginning)


@each_row(("model", "fields"), TAKEN_ON_CHAT)
def test_chat_takes(model, fields):
    assert on_chat(model, **fields) is None


@each_row(("model", "fields"), TAKEN_ON_RESPONSES)
def test_responses_takes(model, fields):
    assert on_responses(model, **fields) is None


def test_a_model_is_served_until_the_day_of_its_shutdown():
    body = {"model": "gpt-5", **CHAT}

    assert find_refusal("/chat/completions", body, today=date(2026, 12, 10)) is None
    assert find_refusal("/chat/completions", body, today=date(2026, 12, 11)).status == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"input": "x", "model": "text-embedding-3-small", "dimensions": 2}),
        ("/v1/moderations", {"input": "x", "model": "omni-moderation-latest"}),
    ],
)
@pytest.mark.parametrize("name", ["safety_identifier", "store", "prompt_cache_key"])
def test_embeddings_and_moderations_know_nothing_of_a_chat(path, body, name):
    assert find_refusal(path, body) is None
    assert find_refusal(path, {**body, name: "x"}).error["param"] == name


def test_other_paths_are_not_openais():
    assert find_refusal("/openai/v1/chat/completions", {"model": "gpt-6-sol", "nonsense": 1}) is None


@each_row("junk", [None, 5, "x", [], {}, [[]], [{}], [{"type": {}, "role": [], "call_id": [], "content": [{"type": []}], "tool_call_id": {}}], {"x": {}}, True, 1.5])  # fmt: skip
@each_row("path", ["/chat/completions", "/responses", "/embeddings", "/moderations"])
def test_values_of_any_kind_are_answered(path, junk):
    for name in {
        name for names in read_table()["parameters"].values() if isinstance(names, list) for name in names
    }:
        for model in ("gpt-6-sol", "gpt-4o", None):
            body = {"model": model, **(CHAT if path == "/chat/completions" else {"input": "x"}), name: junk}
            endpoint, find_all = _ENDPOINTS[path]
            list(find_all(Request(endpoint, body, TODAY)))


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("chat", completion_create_params.CompletionCreateParamsStreaming),
        ("responses", response_create_params.ResponseCreateParamsStreaming),
        ("embeddings", embedding_create_params.EmbeddingCreateParams),
        ("moderations", moderation_create_params.ModerationCreateParams),
    ],
)
def test_the_parameters_are_those_of_the_installed_sdk(name, params):
    assert sorted(read_table()["parameters"][name]) == sorted(get_type_hints(params))


def test_the_service_tiers_are_those_of_the_installed_sdk():
    tiers = read_table()["service_tiers"]

    assert set(tiers["chat"]) == literals(
        get_type_hints(completion_create_params.CompletionCreateParamsBase)["service_tier"]
    )
    assert set(tiers["responses"]) == literals(ServiceTier)


def literals(annotation):
    parts = getattr(annotation, "__args__", ())
    return {part for part in parts if isinstance(part, str)}.union(*(literals(part) for part in parts))
