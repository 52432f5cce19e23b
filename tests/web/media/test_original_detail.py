"""An image may be looked at in the detail `original`, where the model does so and the site allows it."""

from __future__ import annotations

import pytest

from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import completion, error, stream_of

URL = "https://example.com/cat.png"
CHAT = {"type": "image_url", "image_url": {"url": URL, "detail": "original"}}
BODIES = {
    "/api/vision": {"prompt": "What?", "imageUrl": URL, "detail": "original"},
    "/api/vision/stream": {"prompt": "What?", "imageUrl": URL, "detail": "original"},
    "/api/chat": {"messages": [{"role": "user", "content": [CHAT]}]},
    "/api/structured": {"messages": [{"role": "user", "content": [CHAT]}]},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": [CHAT]}]},
    "/v1/responses": {
        "input": [{"role": "user", "content": [{"type": "input_image", "image_url": URL, "detail": "original"}]}]
    },
    "/api/chat ": {
        "messages": [
            {
                "role": "user",
                "parts": [
                    {
                        "type": "file",
                        "mediaType": "image/png",
                        "url": URL,
                        "providerMetadata": {"openai": {"imageDetail": "original"}},
                    }
                ],
            }
        ]
    },
}


@pytest.fixture
def ask(upstream):
    """Asks a route about an image, and returns the detail that was sent to the model and the answer."""

    def ask(client, name, model="gpt-6.1-terra"):
        path = name.strip()
        if path != name or path.endswith("/stream"):
            upstream.streams(*stream_of("A cat"))
        else:
            upstream.answers(completion('{"animal": "cat"}'))
        answer = client.post(path, json={**BODIES[name], "model": model})
        assert answer.status_code == 200, answer.text
        answer.get_data()
        [part] = [
            each for each in upstream.sent[-1].body["messages"][-1]["content"] if each["type"] == "image_url"
        ]
        return part["image_url"].get("detail"), answer

    return ask


TAKES_IT = ("gpt-6.1-terra", "gpt-6-luna", "gpt-5.5", "gpt-5.4")
REFUSES_IT = ("gpt-4o", "gpt-5.1", "gpt-5.4-mini")


@pytest.fixture
def of_all_models(make_app):
    return make_app(allowed_models=(*TAKES_IT, *REFUSES_IT)).test_client()


@each_row("model", TAKES_IT)
@each_row("name", BODIES)
def test_it_is_passed_on_where_the_model_takes_it(of_all_models, ask, name, model):
    detail, answer = ask(of_all_models, name, model)

    assert detail == "original"
    assert "detail" not in answer.headers.get("X-Params-Adjusted", "")


@each_row("model", REFUSES_IT)
@each_row("name", BODIES)
def test_it_is_lowered_and_said_where_the_model_refuses_it(of_all_models, ask, name, model):
    detail, answer = ask(of_all_models, name, model)

    assert detail == "high"
    assert "detail=high" in answer.headers["X-Params-Adjusted"]


@pytest.fixture(params=["low", "high", "auto"])
def ceiling(request):
    return request.param


@pytest.fixture
def limited(make_app, ceiling):
    """Asks an application with this ceiling."""
    return make_app(max_image_detail=ceiling).test_client()


@each_row("name", BODIES)
def test_the_sites_ceiling_holds(limited, ask, ceiling, name):
    detail, answer = ask(limited, name)

    assert detail == ceiling
    assert f"detail={ceiling}" in answer.headers["X-Params-Adjusted"]


def test_without_a_wish_the_model_chooses(client, upstream):
    body = {"prompt": "What?", "imageUrl": URL}
    assert client.post("/api/vision", json=body).status_code == 200
    assert upstream.sent[-1].body["messages"][-1]["content"][-1]["image_url"]["detail"] == "auto"


def test_a_fallback_gets_what_it_takes(make_app, upstream):
    client = make_app(chat_fallback_models=("gpt-4o",), retry_max_attempts=1).test_client()
    upstream.answers(error(), status=500)
    upstream.answers(completion("A cat"))

    answer = client.post("/api/chat", json=BODIES["/api/chat"])

    sent = [each.body["messages"][-1]["content"][0]["image_url"]["detail"] for each in upstream.sent]
    assert (answer.status_code, sent) == (200, ["original", "high"])


def test_deployments_and_other_servers_say_themselves_what_they_take(make_app, upstream):
    client = make_app(openai_base_url="http://127.0.0.1:11434/v1", chat_model="llava").test_client()

    assert client.post("/api/chat", json=BODIES["/api/chat"]).status_code == 200
    assert upstream.sent[-1].body["messages"][-1]["content"][0]["image_url"]["detail"] == "original"


def test_more_of_an_image_is_sent_and_held_for():
    from app.media.images import find_bounds, max_image_tokens

    size = (5_000, 2_000)
    assert find_bounds("gpt-5.4", "original").fit(*size) == size
    assert find_bounds("gpt-5.4", "auto").fit(*size) == (2_048, 819)
    assert max_image_tokens(size, "original", "gpt-5.4") > max_image_tokens(size, "high", "gpt-5.4")
