from __future__ import annotations

import pytest

from app import create_app
from app.config import Config
from tests.fakes.upstreams.openai_answers import completion, embeddings, stream_of
from tests.fakes.upstreams.raw_server import READ, RawServer, answer
from tests.fakes.wire.reading import without_padding

HI = {"message": "Hi"}
AZURE = {"azure_openai_endpoint": "https://acme.openai.azure.com", "azure_openai_api_version": "2024-10-21"}


@pytest.fixture
def azure(make_app):
    settings = AZURE | {"chat_model": "my-gpt", "vision_model": "my-eye", "embedding_model": "my-vectors"}
    return make_app(**settings).test_client()


@pytest.fixture
def urls(upstream, monkeypatch):
    """The whole URL of each request that was sent."""
    seen = []
    handle = upstream._handle
    monkeypatch.setattr(upstream, "_handle", lambda request: (seen.append(str(request.url)), handle(request))[1])
    return seen


@pytest.mark.chat_form
def test_azure_is_asked_below_the_deployment_with_its_version_and_its_key(urls, azure, upstream):
    assert azure.post("/api/chat", json=HI).status_code == 200

    [sent] = upstream.sent
    assert urls == [
        "https://acme.openai.azure.com/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"
    ]
    assert sent.headers["api-key"] == "sk-canary-0123456789"
    assert "Authorization" not in sent.headers
    assert sent.body["messages"] == [{"role": "user", "content": "Hi"}]


@pytest.mark.chat_form
def test_each_operation_goes_to_its_own_deployment_of_azure(urls, azure, upstream):
    upstream.streams(*stream_of("Hi"))
    upstream.answers(completion())
    upstream.answers(embeddings([[1]]))
    upstream.answers(completion("{}"))

    azure.post("/api/chat/stream", json=HI)
    azure.post("/api/vision", json={"prompt": "x", "imageUrl": "https://example.com/a.png"})
    azure.post("/api/embeddings", json={"input": "x"})
    azure.post("/api/structured", json={"prompt": "x"})

    assert [url.split("/openai/deployments/")[1].split("?")[0] for url in urls] == [
        "my-gpt/chat/completions",
        "my-eye/chat/completions",
        "my-vectors/embeddings",
        "my-gpt/chat/completions",
    ]


@pytest.mark.chat_form
def test_the_name_of_a_deployment_cannot_change_the_path(urls, make_app, upstream):
    client = make_app(**AZURE | {"chat_model": "a/b@c+d"}).test_client()

    assert client.post("/api/chat", json=HI).status_code == 200
    assert "/openai/deployments/a%2Fb%40c%2Bd/chat/completions?" in urls[0]


def test_what_azure_sends_before_its_first_token_is_passed_over(azure, upstream):
    upstream.streams({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}, *stream_of("Hi"))

    stream = azure.post("/api/chat/stream", json=HI)

    assert without_padding(stream.data).startswith(b'data: {"token":"Hi"}\n\n')


@pytest.mark.chat_form
def test_no_variable_of_the_sdks_own_changes_where_requests_go(urls, monkeypatch, make_app, upstream):
    for name in ("OPENAI_BASE_URL", "AZURE_OPENAI_ENDPOINT"):
        monkeypatch.setenv(name, "https://evil.example/v1")
    for name in ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, "sk-other")
    monkeypatch.setenv("OPENAI_API_VERSION", "other")

    make_app().test_client().post("/api/chat", json=HI)
    make_app(**AZURE | {"chat_model": "x"}).test_client().post("/api/chat", json=HI)

    assert [url.split("/")[2] for url in urls] == ["api.openai.com", "acme.openai.azure.com"]
    assert "api-version=2024-10-21" in urls[1]
    for sent in upstream.sent:
        assert "other" not in str(sent.headers.raw)


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:11434/v1", "http://127.0.0.1:11434/v1/"])
@pytest.mark.chat_form
def test_a_compatible_server_is_asked_below_its_base_url(urls, make_app, upstream, base_url):
    client = make_app(openai_base_url=base_url, openai_api_key="").test_client()

    assert client.post("/api/chat", json=HI).status_code == 200
    assert urls == ["http://127.0.0.1:11434/v1/chat/completions"]
    assert upstream.sent[0].headers["Host"] == "127.0.0.1:11434"


def test_a_compatible_server_may_want_no_key():
    with RawServer([READ, answer(completion("Hello"))]) as server:
        client = create_app(Config(openai_base_url=server.url)).test_client()

        assert client.post("/api/chat", json=HI).json["reply"] == "Hello"
        assert server.requests[0].startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
        client.application.extensions["gatehouse"].openai_service._sender._keys.choose().close()


def test_the_organization_is_named_where_it_is_configured(make_app, upstream):
    make_app(openai_org_id="org-1").test_client().post("/api/chat", json=HI)
    make_app().test_client().post("/api/chat", json=HI)

    assert [sent.headers.get("OpenAI-Organization") for sent in upstream.sent] == ["org-1", None]


@pytest.mark.chat_form
@pytest.mark.parametrize(
    ("base_url", "asked"),
    [
        ("https://gw.example.com:8443/llm/v1/", "https://gw.example.com:8443/llm/v1/chat/completions"),
        ("http://[::1]:11434/v1", "http://[::1]:11434/v1/chat/completions"),
        (
            "https://x.services.ai.azure.com/models?api-version=2024-05-01-preview",
            "https://x.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview",
        ),
        (
            "https://gw.example.com/v1/?api-version=preview",
            "https://gw.example.com/v1/chat/completions?api-version=preview",
        ),
    ],
)
def test_the_path_goes_behind_that_of_the_base_url_and_before_its_version(
    urls, make_app, upstream, base_url, asked
):
    client = make_app(openai_base_url=base_url).test_client()
    upstream.answers(completion())
    upstream.streams(*stream_of("Hi"))

    assert client.post("/api/chat", json=HI).status_code == 200
    with client.post("/api/chat/stream", json=HI) as streamed:
        assert streamed.status_code == 200
    assert urls == [asked] * 2
