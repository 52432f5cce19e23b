"""Fields that do not exist: whoever wrote OpenAI's name of one, or a typo, is told the right one."""

from __future__ import annotations

import io

from tests.fakes.tables import each_row
from tests.fakes.wire.bodies import SMALLEST, refusal_of
from tests.media.images.pictures import png

CHATS = [path for path in SMALLEST if "embeddings" not in path and not path.startswith("/v1/")]
OPENAI_NAMES = {
    "max_tokens": "maxTokens",
    "max_completion_tokens": "maxTokens",
    "max_output_tokens": "maxTokens",
    "reasoning_effort": "reasoningEffort",
    "top_p": "topP",
    "parallel_tool_calls": "parallelToolCalls",
    "service_tier": "serviceTier",
}


def post(client, path, **fields):
    body = SMALLEST[path]
    if path == "/api/chat/openai":
        return client.post(path, json={**body, "chatSettings": fields})
    return client.post(path, json={**body, **fields})


@each_row("path", CHATS)
@each_row(("theirs", "ours"), OPENAI_NAMES.items())
def test_openais_name_of_a_field_is_answered_with_ours(client, upstream, path, theirs, ours):
    where = "chatSettings." if path == "/api/chat/openai" else ""

    answer = post(client, path, **{theirs: 5})

    assert answer.status_code == 400
    assert refusal_of(answer) == f"Unknown field {where}{theirs}: did you mean {ours}?"
    assert upstream.sent == []


@each_row(
    ("path", "body", "sentence"),
    [
        ("/api/chat", {"tool_choice": "auto"}, "tool_choice: did you mean toolChoice?"),
        ("/api/chat", {"system_prompt": "a"}, "system_prompt: did you mean systemPrompt?"),
        ("/api/chat", {"user_message": "a"}, "user_message: did you mean userMessage?"),
        ("/api/chat", {"response_format": {}}, "response_format: /api/structured answers by a schema"),
        ("/api/chat", {"stream": True}, "stream: streams have routes of their own, such as /api/chat/stream"),
        ("/api/chat", {"functions": []}, "functions: did you mean tools?"),
        ("/api/chat", {"tempature": 1}, "tempature: did you mean temperature?"),
        ("/api/chat", {"MaxTokens": 1}, "MaxTokens: did you mean maxTokens?"),
        ("/api/chat", {"zzz": 1}, "zzz."),
        ("/api/embeddings", {"stream": True}, "stream."),
        ("/api/chat", {"messages": [{"role": "user", "content": "a", "toolCalls": []}]}, "messages.0.toolCalls."),
        (
            "/api/chat",
            {"messages": [{"role": "assistant", "content": "a", "finish_reason": "stop"}]},
            "messages.0.finish_reason: did you mean finishReason?",
        ),
        ("/api/chat", {"x" * 100: 1}, f"{'x' * 100}."),
        ("/api/chat", {"messages": [{"role": "user", "content": "a", "contents": "a"}]}, "messages.0.contents: did you mean content?"),
        (
            "/api/chat",
            {"tools": [{"type": "function", "function": {"name": "f", "parameter": {}}}]},
            "tools.0.function.parameter: did you mean parameters?",
        ),
        (
            "/api/chat",
            {"tools": [{"type": "function", "function": {"name": "f"}}], "toolChoice": {"type": "function", "function": {"name": "f", "nam": 1}}},
            "toolChoice.function.nam: did you mean name?",
        ),
        ("/api/structured", {"response_format": {}}, "response_format: did you mean schema?"),
        ("/api/structured", {"schema_name": "a"}, "schema_name: did you mean schemaName?"),
        ("/api/structured", {"userMessage": "a"}, "userMessage: did you mean prompt?"),
        ("/api/vision", {"image_url": "a"}, "image_url: did you mean imageUrl?"),
        ("/api/embeddings", {"inputs": "a"}, "inputs: did you mean input?"),
        ("/api/embeddings/similarity", {"top_k": 1}, "top_k: did you mean topK?"),
    ],
)  # fmt: skip
def test_what_was_meant_is_found_wherever_it_stands(client, path, body, sentence):
    answer = client.post(path, json={**SMALLEST[path], **body})

    assert (answer.status_code, refusal_of(answer)) == (400, f"Unknown field {sentence}")


@each_row("path", [path for path in SMALLEST if path != "/api/agui"])  # which takes what is yet to come
def test_what_was_written_in_the_place_of_a_required_field_is_named(client, path):
    answer = client.post(path, json={"zzz": 1})

    assert answer.status_code == 400
    assert "zzz" in refusal_of(answer)


@each_row(
    ("path", "body", "sentence"),
    [
        ("/api/embeddings", {"texts": ["a"]}, "texts: did you mean input?"),
        (
            "/api/vision",
            {"message": "a", "imageUrl": "https://example.com/a.png"},
            "message: did you mean prompt?",
        ),
        (
            "/api/chat",
            {"messages": [{"role": "user", "contents": "a"}]},
            "messages.0.contents: did you mean content?",
        ),
    ],
)
def test_what_was_meant_is_told_rather_than_that_it_is_missing(client, path, body, sentence):
    assert refusal_of(client.post(path, json=body)) == f"Unknown field {sentence}"


def test_a_form_is_told_alike(client):
    form = {"prompt": "Hi", "max_tokens": "5", "image": (io.BytesIO(png(4, 3)), "a.png")}

    assert refusal_of(client.post("/api/vision", data=form)) == "Unknown field max_tokens: did you mean maxTokens?"
