from __future__ import annotations

import base64
import io
import math
import time

import pytest
from PIL import Image

from app import create_app
from app.config import Config
from tests.fakes.stopwatch import Stopwatch
from tests.fakes.tables import each_row
from tests.fakes.wire.bodies import ROUTES, SMALLEST
from tests.fakes.wire.reading import events_of

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer", "minimum": 3}},
    "required": ["city", "people"],
    "additionalProperties": False,
}


@pytest.fixture
def client(monkeypatch):
    """The application as it is without any key, over the real offline model, which does not wait."""
    monkeypatch.setattr("app.offline_model.completion.time.sleep", lambda _: None)
    return create_app(Config()).test_client()


def red_image():
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (255, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


@each_row("route", ROUTES)
def test_every_route_answers_without_a_key(client, route):
    body = SMALLEST[route] | ({"schema": SCHEMA} if route.endswith("structured") else {})

    answer = client.post(route, json=body)

    assert answer.status_code == 200, answer.text
    assert answer.data
    assert answer.headers["X-Model"] == "offline"
    assert answer.headers["X-Attempts"] == "1"


def test_a_chat_is_answered_and_says_what_it_is(client):
    body = client.post("/api/chat", json={"userMessage": "Hello"}).json

    assert body["reply"] == body["text"] != ""
    assert (body["finishReason"], body["model"]) == ("stop", "offline")
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]


def test_a_stream_has_the_words_of_the_whole_answer(client):
    whole = client.post("/api/chat", json={"message": "Hello"}).json

    *tokens, done = events_of(client.post("/api/chat/stream", json={"message": "Hello"}).data)

    assert len(tokens) > 1
    assert "".join(event["token"] for event in tokens) == whole["reply"]
    assert (done["done"], done["usage"], done["model"]) == (True, whole["usage"], "offline")


def test_bare_text_is_streamed(client):
    whole = client.post("/api/chat", json={"message": "Hi"}).json["reply"]

    answer = client.post("/api/chat/openai", json=SMALLEST["/api/chat/openai"])

    assert answer.text == whole


def test_an_image_is_looked_at(client):
    url = f"data:image/png;base64,{base64.b64encode(red_image()).decode()}"

    by_json = client.post("/api/vision", json={"prompt": "Which colour?", "imageUrl": url})
    by_form = client.post(
        "/api/vision", data={"prompt": "Which colour?", "image": (io.BytesIO(red_image()), "a.png")}
    )

    assert "red" in by_json.json["reply"].lower()
    assert by_form.json["reply"] == by_json.json["reply"]


def test_vectors_have_length_one_and_like_texts_are_near(client):
    [vector] = client.post("/api/embeddings", json={"input": "a red cat"}).json["embeddings"]
    assert math.hypot(*vector) == pytest.approx(1, abs=1e-3)

    documents = ["the stock market fell", "a red cat sat", "quarterly tax report"]
    found = client.post("/api/embeddings/similarity", json={"query": "a red cat", "documents": documents}).json
    assert found["results"][0]["document"] == "a red cat sat"
    same = client.post("/api/embeddings/similarity", json={"a": "cat", "b": "cat"}).json
    assert same["similarity"] == pytest.approx(1)


@pytest.mark.parametrize("strict", [True, False])
def test_a_schema_is_filled_at_the_first_attempt(client, strict):
    answer = client.post("/api/structured", json={"prompt": "x", "schema": SCHEMA, "strict": strict})

    assert answer.headers["X-Attempts"] == "1"
    assert isinstance(answer.json["data"]["city"], str)
    assert answer.json["data"]["people"] >= 3


def test_json_mode_gives_an_object(client):
    assert isinstance(client.post("/api/structured", json={"prompt": "x"}).json["data"], dict)


def test_tools_are_called(client):
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}

    answer = client.post("/api/chat", json={"message": "Hi", "tools": [tool], "toolChoice": "required"}).json

    assert answer["finishReason"] == "tool_calls"
    assert answer["toolCalls"][0]["function"]["name"] == "get_weather"


def test_whoever_leaves_a_stream_is_not_waited_for(monkeypatch):
    slept, sleep = [], time.sleep
    monkeypatch.setattr("app.offline_model.completion.time.sleep", lambda s: (slept.append(s), sleep(s)))
    client = create_app(Config()).test_client()
    watch = Stopwatch()

    answer = client.post("/api/chat/stream", json={"message": "Hello"}, buffered=False)
    next(answer.response)
    answer.close()

    assert len(slept) < 8  # it is read on for a tenth of a second, for what has arrived already
    assert watch.elapsed_s() < 1
