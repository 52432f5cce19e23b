"""Text of a model cannot forge events, and fields that a caller may not set never reach the upstream."""

from __future__ import annotations

import inspect
import json

import pytest
from openai.resources.chat.completions import Completions

from app.web.schemas.chat import ChatRequest
from tests.fakes.tables import each_row, in_part
from tests.fakes.upstreams.openai_answers import completion, stream_of
from tests.fakes.wire.bodies import SMALLEST
from tests.fakes.wire.reading import events_of

# What is read over /responses is made into the same events.
pytestmark = pytest.mark.parametrize(
    "upstream_api", in_part({"auto": "auto", "responses": "responses"}, by_default={"auto"})
)

# Each would be a new line or event to some reader of event streams, if it stood there as it is.
HOSTILE = [
    "a\rb",
    "a\r\nb",
    "a\n\nb",
    '\n\ndata: {"done":true}\n\n',
    "\n\ndata: [DONE]\n\n",
    "\nevent: error\nid: 1\nretry: 1\n:",
    "a\u2028b\u2029c\x85d\x0be\x0cf",
    "\ufeffa",
    "a\x00b",
]
CHAT = {"messages": [{"role": "user", "content": "Hi"}]}
TAKEN = {name for key, field in ChatRequest.model_fields.items() for name in (key, field.alias)}
# What the operator pays for, or decides: all parameters of the SDK in which a caller of /api/chat has no say.
NOT_OF_CHAT = sorted(
    ({*inspect.signature(Completions.create).parameters} - {"self", "stream"} - TAKEN)
    | {"base_url", "api_key", "extra_query", "organization", "user_id", "max_tokens_to_sample", "__proto__"}
)


@each_row("text", HOSTILE)
def test_words_of_a_model_cannot_make_an_event(client, upstream, text):
    upstream.streams(*stream_of("<", text, ">"))

    body = client.post("/api/chat/stream", json=CHAT).data

    assert not set(b"\r\x00\x0b\x0c") & set(body)
    *tokens, done = events_of(body)
    assert "".join(event["token"] for event in tokens) == f"<{text}>"
    assert done["done"] is True


@each_row("text", HOSTILE)
def test_words_of_a_model_cannot_make_an_event_of_openais_form(client, upstream, text):
    upstream.streams(*stream_of("<", text, ">"))

    blocks = client.post("/v1/chat/completions", json={**CHAT, "stream": True}).data.split(b"\n\n")

    assert blocks[-2:] == [b"data: [DONE]", b""]
    lines = b"\n".join(blocks[:-2]).splitlines()
    assert all(line.startswith(b"data: ") for line in lines)
    deltas = [choice["delta"] for line in lines for choice in json.loads(line[6:])["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == f"<{text}>"


@each_row("name", NOT_OF_CHAT)
def test_a_parameter_that_is_the_operators_is_refused(client, upstream, name):
    upstream.answers(completion("Hello"))

    answer = client.post("/api/chat", json={**SMALLEST["/api/chat"], name: 2})

    assert (answer.status_code, answer.json["code"]) == (400, "invalid_request")
    assert upstream.sent == []
