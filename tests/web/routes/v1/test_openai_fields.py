"""Every field that OpenAI's client has for what a request is made of is known here, if only to say why it is refused."""

from __future__ import annotations

from functools import cache
from typing import Any, get_args, get_type_hints

import pytest
from openai.types import responses, shared_params
from openai.types.chat import (
    ChatCompletionAssistantMessageParam,
    ChatCompletionContentPartImageParam,
    ChatCompletionContentPartTextParam,
    ChatCompletionFunctionMessageParam,
    ChatCompletionSystemMessageParam,
    ChatCompletionToolMessageParam,
    ChatCompletionUserMessageParam,
    completion_create_params,
)
from openai.types.chat.chat_completion_content_part_image_param import ImageURL
from openai.types.chat.chat_completion_content_part_param import File, FileFile
from openai.types.embedding_create_params import EmbeddingCreateParams
from openai.types.responses import response_create_params, response_input_param
from openai.types.shared_params import response_format_json_schema
from pydantic import TypeAdapter

from app.web.media import parts
from app.web.schemas import tools
from app.web.schemas.v1 import (
    chat_completions,
    embeddings,
    messages,
    response_format,
    response_items,
    response_text,
    response_tools,
)
from app.web.schemas.v1 import responses as response_request
from tests.fakes.tables import each_row

hints_of = cache(get_type_hints)


@cache
def fields_of(model: Any) -> dict[str, bool]:
    """The names by which a model takes its fields, and whether each may be null."""
    schema = TypeAdapter(model).json_schema(mode="validation")
    named = schema.get("$defs", {})
    own = schema if "properties" in schema else named[schema["$ref"].rpartition("/")[2]]

    def may_be_null(field):
        kinds = field.get("anyOf", field.get("oneOf", [field]))
        if "$ref" in field:
            kinds = [named[field["$ref"].rpartition("/")[2]]]
        is_any = not {"type", "anyOf", "oneOf", "enum", "const", "$ref"} & field.keys()
        return is_any or any(
            kind.get("type") == "null" or ("anyOf" in kind and may_be_null(kind)) for kind in kinds
        )

    return {name: may_be_null(field) for name, field in own["properties"].items()}


REQUESTS = [
    (completion_create_params.CompletionCreateParamsBase, chat_completions.ChatCompletionsRequest),
    (response_create_params.ResponseCreateParamsBase, response_request.ResponsesRequest),
    (response_create_params.StreamOptions, response_request.StreamOptions),
    (responses.ResponseTextConfigParam, response_text.TextOptions),
    (shared_params.Reasoning, response_request.ReasoningOptions),
    (EmbeddingCreateParams, embeddings.EmbeddingsRequest),
]
MESSAGES = [
    (ChatCompletionUserMessageParam, messages.UserMessage),
    (ChatCompletionSystemMessageParam, messages.SystemMessage),
    (ChatCompletionAssistantMessageParam, messages.AssistantMessage),
    (ChatCompletionToolMessageParam, messages.ToolMessage),
    (ChatCompletionFunctionMessageParam, messages.FunctionMessage),
]
PARTS = [
    (ChatCompletionContentPartTextParam, parts.TextPart),
    (ChatCompletionContentPartImageParam, parts.ImagePart),
    (ImageURL, parts.ImageUrl),
    (File, parts.FilePart),
    (FileFile, parts.FileFields),
    (responses.ResponseInputTextParam, parts.TextPart),
    (responses.ResponseInputImageParam, parts.InputImagePart),
    (responses.ResponseInputFileParam, parts.InputFilePart),
]
ITEMS = [
    (responses.EasyInputMessageParam, response_items.UserItem),
    (response_input_param.Message, response_items.UserItem),
    (responses.ResponseOutputMessageParam, response_items.AssistantItem),
    (responses.ResponseFunctionToolCallParam, response_items.FunctionCallItem),
    (response_input_param.FunctionCallOutput, response_items.FunctionCallOutputItem),
    (responses.ResponseReasoningItemParam, response_items.ReasoningItem),
    (responses.FunctionToolParam, response_tools.FunctionTool),
    (shared_params.FunctionDefinition, tools.Function),
    (response_format_json_schema.JSONSchema, response_format.JsonSchema),
    (responses.ResponseFormatTextJSONSchemaConfigParam, response_text.JsonSchemaFormat),
]


@each_row(("theirs", "ours"), [*REQUESTS, *MESSAGES, *PARTS, *ITEMS])
def test_no_field_is_unknown(theirs, ours):
    assert hints_of(theirs).keys() - fields_of(ours) == set()


@each_row(("theirs", "ours"), [*REQUESTS, *MESSAGES, *PARTS, *ITEMS])
def test_what_may_be_null_there_may_be_null_here(theirs, ours):
    can_be = {name for name, kind in hints_of(theirs).items() if type(None) in get_args(kind)}
    is_refused = {name for name, may_be_null in fields_of(ours).items() if not may_be_null}

    # A call's result without the call's id is of programs that call tools, which are not served.
    assert can_be & is_refused - {"call_id"} == set()


@each_row(
    ("field", "taken", "refused"),
    [
        ("output_schema", {"type": "object"}, None),
        ("allowed_callers", ["direct"], ["programmatic"]),
        ("defer_loading", False, True),
        ("async", False, True),
    ],
)
def test_a_function_is_called_in_one_way(client, upstream, field, taken, refused):
    def ask(value):
        tool = {"type": "function", "name": "f", field: value}
        return client.post("/v1/responses", json={"input": "Hi", "tools": [tool]})

    assert (ask(taken).status_code, ask(None).status_code) == (200, 200)
    assert field not in upstream.sent[0].body["tools"][0]["function"]
    if refused is not None:
        assert ask(refused).json["error"]["param"] == f"tools[0].{field}"


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
def test_a_mark_for_the_cache_is_ignored(client, upstream, path):
    field, kind = ("input", "input_text") if "responses" in path else ("messages", "text")
    part = {"type": kind, "text": "Hi", "prompt_cache_breakpoint": {"mode": "explicit"}}

    assert client.post(path, json={field: [{"role": "user", "content": [part]}]}).status_code == 200
    assert upstream.sent[0].body["messages"] == [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/responses", {"input": "Hi", "text": {"format": {"type": "grammar"}}}, "text.format.type"),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": "Hi"}], "response_format": {"type": "grammar"}},
            "response_format.type",
        ),
    ],
)
def test_a_form_that_does_not_exist_is_refused_with_those_that_do(client, path, body, param):
    refused = client.post(path, json=body).json["error"]

    assert refused["param"] == param
    assert refused["message"].endswith("grammar is not accepted; it must be json_object or json_schema or text.")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat"])
def test_a_function_that_does_not_say_whether_it_is_strict_is_not(client, upstream, path):
    tool = {"type": "function", "function": {"name": "f", "strict": None}}

    body = {"messages": [{"role": "user", "content": "Hi"}], "tools": [tool]}

    assert client.post(path, json=body).status_code == 200
    assert upstream.sent[0].body["tools"][0]["function"].get("strict", False) is False
