"""The upstream's URLs: what no request could reach is told at start, and what providers give out is taken."""

from __future__ import annotations

import pytest

from app.config import Config, ConfigError
from tests.fakes.tables import each_row

KEY = {"OPENAI_API_KEY": "k"}


def problem_of(name: str, url: str) -> str:
    with pytest.raises(ConfigError) as caught:
        Config.from_env({name: url} | KEY)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{name} ")
    return problem


@each_row(
    ("url", "part"),
    [
        ("https://api.example.com/v1/chat/completions", "/chat/completions"),
        ("https://api.example.com/v1/chat/completions/", "/chat/completions"),
        ("https://api.example.com/v1/completions", "/completions"),
        ("https://api.example.com/v1/responses", "/responses"),
        ("https://api.example.com/v1/embeddings", "/embeddings"),
        ("https://api.example.com/v1/models", "/models"),
        ("https://api.example.com/v1/chat", "/chat"),
        ("http://127.0.0.1:11434/api/generate", "/generate"),
        ("https://api.example.com/v1/images/generations", "/images/generations"),
        ("https://api.anthropic.com/v1/messages", "/messages"),
        ("https://api.example.com/v1/v1", "/v1 twice"),
        ("https://api.openai.com", "https://api.openai.com/v1"),
        ("https://eu.api.openai.com/", "https://eu.api.openai.com/v1"),
        ("http://api.openai.com/v1", "https://api.openai.com/v1"),
        ("https://platform.openai.com/v1", "https://api.openai.com/v1"),
        ("https://x.openai.azure.com/", "https://x.openai.azure.com/openai/v1"),
        ("api.example.com/v1", "begin with http://"),
        ("localhost:11434/v1", "begin with http://"),
        ("https//api.example.com", "begin with http://"),
        ("https://<your-resource>/v1", "URL of a server"),
        ("https://api.example.com/v1?key=secret", "query"),
        ("https://api.example.com/v1?api-version=2024-05-01&key=secret", "query"),
        ("https://api.openai.com/v1?api-version=2024-05-01", "remove it"),
        ("https://x.openai.azure.com/openai/v1?api-version=preview", "remove it"),
        ("https://api.example.com/v1/chat/completions?api-version=2024-05-01", "/chat/completions"),
        ("https://api.example.com/v1#x", "fragment"),
        ("https://api.example.com/v1/Chat/Completions", "/Chat/Completions"),
        ("https://api.example.com/v1/chat/completions//", "/chat/completions"),
        ("http://127.0.0.1:8080/completion", "/completion"),
        ("https://api.example.com/v1/images", "/images"),
        ("https://api.example.com/v1/models/gpt-4o", "/models/gpt-4o"),
        ("https://api.example.com/v1//", "two slashes"),
        ("https://api.example.com//v1", "two slashes"),
        ("https://user:secret@api.example.com/v1", "OPENAI_API_KEY"),
    ],
)
def test_a_base_url_that_cannot_work_is_told_with_what_is_wrong(url, part):
    problem = problem_of("OPENAI_BASE_URL", url)

    assert part in problem
    assert "secret" not in problem


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "https://api.openai.com/v1/",
        "https://eu.api.openai.com/v1",
        "http://127.0.0.1:11434/v1",
        "http://127.0.0.1:8080",
        "https://openrouter.ai/api/v1",
        "https://api.groq.com/openai/v1",
        "https://generativelanguage.googleapis.com/v1beta/openai/",
        "https://gateway.ai.cloudflare.com/v1/account/gateway/openai",
        "https://api.deepseek.com",
        "https://api.mistral.ai/v1",
        "https://x.openai.azure.com/openai/v1/",
        "https://x.services.ai.azure.com/models",
        "https://x.services.ai.azure.com/models?api-version=2024-05-01-preview",
        "https://gateway.example.com:8443/llm/v1/?api-version=preview",
        "https://api.fireworks.ai/inference/v1",
        "https://api.cloudflare.com/client/v4/accounts/abc/ai/v1",
        "https://api.example.com/openai/deployments/v1/models-of-ours",
        "HTTPS://API.EXAMPLE.COM/v1",
        "http://[::1]:11434/v1",
        "http://[fd00::1]:8000/v1/",
        "http://host.docker.internal:1234/v1",
    ],
)
def test_base_urls_as_providers_give_them_are_taken(url):
    assert Config.from_env({"OPENAI_BASE_URL": url} | KEY).upstream.base_url == url


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("https://x.openai.azure.com/openai/v1", "/openai/v1"),
        ("https://x.openai.azure.com/openai/v1/", "/openai/v1"),
        ("https://x.openai.azure.com/openai", "/openai"),
        ("https://x.openai.azure.com/openai/deployments/d/chat/completions", "/openai/deployments"),
        ("https://x.openai.azure.com/v1", "/v1"),
        ("https://x.openai.azure.com/?api-version=2024-10-21", "query"),
        ("x.openai.azure.com", "begin with http://"),
        ("https://api.openai.com/v1", "not an Azure resource"),
    ],
)
def test_an_azure_endpoint_is_the_resource_only(url, part):
    assert part in problem_of("AZURE_OPENAI_ENDPOINT", url)


@pytest.mark.parametrize(
    "url",
    ["https://x.openai.azure.com/", "https://x.cognitiveservices.azure.com", "https://gateway.example.com/azure"],
)
def test_azure_resources_are_taken(url):
    assert Config.from_env({"AZURE_OPENAI_ENDPOINT": url} | KEY).azure_openai_endpoint == url


@pytest.mark.parametrize(
    ("version", "is_valid"), [("2025-03-01-preview", True), ("2024-10", False), ("v1", False)]
)
def test_the_version_of_azure_is_a_date(version, is_valid):
    if is_valid:
        assert Config.from_env({"AZURE_OPENAI_API_VERSION": version}).azure_openai_api_version == version
    else:
        assert "such as 2024-10-21" in problem_of("AZURE_OPENAI_API_VERSION", version)


@pytest.mark.parametrize(
    ("settings", "fallbacks"),
    [
        ({}, ("gpt-6-luna",)),
        ({"OPENAI_BASE_URL": "https://eu.api.openai.com/v1"}, ("gpt-6-luna",)),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:11434/v1"}, ()),
        ({"OPENAI_BASE_URL": "https://api.openai.com.example.org/v1"}, ()),
        ({"AZURE_OPENAI_ENDPOINT": "https://x.openai.azure.com"}, ()),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:11434/v1", "CHAT_FALLBACK_MODELS": "a,b"}, ("a", "b")),
    ],
)
def test_openais_fallback_model_is_the_default_at_openai_only(settings, fallbacks):
    models = Config.from_env(settings | KEY).models

    assert models.fallbacks["chat"] == fallbacks
    assert models.offered["chat"] == ("gpt-6.1-terra", *fallbacks)


def test_an_organization_that_no_header_can_hold_is_told():
    assert "control character" in problem_of("OPENAI_ORG_ID", "org x")
