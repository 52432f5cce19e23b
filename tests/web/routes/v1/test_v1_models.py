"""GET /v1/models: what a caller may use, as OpenAI's own client sees it."""

from __future__ import annotations

from urllib.parse import quote

import openai
import pytest

from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import completion, stream_of
from tests.fakes.wire.bodies import USER

MODELS = {
    "chat_model": "own/chat:1",
    "chat_fallback_models": ("b",),
    "allowed_models": ("c",),
    "vision_model": "v",
}


def ids_of(sdk):
    return [model.id for model in sdk.models.list()]


def test_the_models_of_all_operations_are_listed_once_the_default_first(make_app, connect):
    sdk = connect(make_app(**MODELS))

    assert ids_of(sdk) == ["own/chat:1", "b", "c", "v", "text-embedding-3-small"]


def test_a_model_has_openais_fields(make_app, connect):
    answer = make_app(**MODELS).test_client().get("/v1/models")

    assert answer.json["object"] == "list"
    for model in answer.json["data"]:
        assert model.keys() == {"id", "object", "created", "owned_by"}
        assert (model["object"], type(model["created"])) == ("model", int)


def test_a_model_is_described_whatever_its_name(make_app, connect):
    sdk = connect(make_app(**MODELS))

    assert sdk.models.retrieve("own/chat:1").id == "own/chat:1"
    assert sdk.models.retrieve("c").id == "c"


@each_row(
    "name",
    [
        "models/a.gguf",
        "../a.gguf",
        "@cf/a/b",
        "a#b/c",
        "C:\\a.gguf",
        "a//b",
        "/models/Qwen3-32B",
        "//a/",
        "100%a?b",
        "My Model (Q4)",
    ],
)
def test_a_model_with_any_providers_name_answers_and_is_described(make_app, connect, name):
    app = make_app(chat_model=name)
    sdk = connect(app)

    assert sdk.models.retrieve(name).id == name
    asked = sdk.chat.completions.with_raw_response.create(model=name, messages=[{"role": "user", "content": "Hi"}])
    assert asked.status_code == 200


@each_row("name", ["модель 7б", "通义千问-plus", "für alle"])
def test_a_model_may_have_letters_of_any_language(make_app, upstream, name):
    client = make_app(chat_model=name).test_client()
    upstream.answers(completion())
    upstream.streams(*stream_of("Hi"))

    assert client.get(f"/v1/models/{quote(name)}").json["id"] == name
    with client.post("/v1/chat/completions", json={"model": name, "messages": [USER]}) as asked:
        assert asked.status_code == 200
    with client.post("/api/chat/stream", json={"message": "Hi", "model": name}) as asked:
        assert asked.status_code == 200
    assert [sent.body["model"] for sent in upstream.sent] == [name] * 2


@pytest.mark.parametrize("name", ["d", "own/chat", "own//chat:1"])
def test_an_unknown_model_is_not_found(make_app, connect, name):
    with pytest.raises(openai.NotFoundError) as caught:
        connect(make_app(**MODELS)).models.retrieve(name)

    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_a_caller_sees_the_models_of_its_scopes_only(make_site, connect):
    site = make_site(**MODELS)

    assert ids_of(connect(site.app, site.new_key("embeddings"))) == ["text-embedding-3-small", "c"]
    assert ids_of(connect(site.app, site.token(scopes=["chat"]))) == ["own/chat:1", "b", "c"]
    with pytest.raises(openai.PermissionDeniedError):
        ids_of(connect(site.app, site.new_key("usage")))
