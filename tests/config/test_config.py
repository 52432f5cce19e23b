from __future__ import annotations

import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from app.config import Config, ConfigError, describe_exposure
from app.config.fields import find_problem
from tests.fakes.tables import each_row

ROOT = Path(__file__).parents[2]
SECRET = "sk-canary-0123456789"
PRODUCTION = {
    "APP_ENV": "production",
    "OPENAI_API_KEY": SECRET,
    "SECRET_KEY": "s" * 32,
    "ALLOWED_ORIGINS": "https://www.example.com",
    "AUTH_REQUIRED": "true",
}
ANONYMOUS = {"AUTH_REQUIRED": "false", "ADDRESS_RATE_LIMIT": "20/minute", "ANONYMOUS_BUDGET_USD": "5"}


def problems_of(environ):
    with pytest.raises(ConfigError) as caught:
        Config.from_env(environ)
    return caught.value.problems


def test_an_empty_environment_gives_the_defaults():
    assert Config.from_env({}) == Config()
    assert Config.from_env({field.name.upper(): "  " for field in fields(Config)}) == Config()


def test_the_defaults_are_valid():
    """A start does not check them."""
    assert [problem for each in fields(Config) if (problem := find_problem(each, each.default))] == []


def test_the_processs_own_environment_is_read(monkeypatch):
    monkeypatch.setenv("CHAT_MODEL", "from-the-environment")

    assert Config.from_env().chat_model == "from-the-environment"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("CHAT_MODEL", " my-model ", "my-model"),
        ("CHAT_FALLBACK_MODELS", "a, b,,c ,", ("a", "b", "c")),
        ("ALLOWED_MODELS", "ft:gpt-4o:acme::x", ("ft:gpt-4o:acme::x",)),
        ("ALLOWED_MODELS", " , ", ()),
        ("MAX_TOKENS", "5", 5),
        ("PORT", "80", 80),
        ("REQUEST_TIMEOUT_S", "0.5", 0.5),
        ("REQUEST_TIMEOUT_S", "5", 5.0),
        *[("CORS_CREDENTIALS", text, True) for text in ("true", "TRUE", "1", "yes")],
        *[("ALLOW_CLIENT_SYSTEM_PROMPT", text, False) for text in ("false", "False", "0", "no")],
        ("LOG_LEVEL", "debug", "DEBUG"),
        ("SYSTEM_PROMPT", "Be brief, and kind.", "Be brief, and kind."),
        ("TRUSTED_PROXIES", "2", 2),
    ],
)
def test_a_value_is_read_as_its_kind(name, text, value):
    assert getattr(Config.from_env({name: text}), name.lower()) == value


APPS = [
    "capacitor://localhost",
    "ionic://localhost",
    "tauri://localhost",
    "https://tauri.localhost",
    "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
    "moz-extension://7c9e6679-7425-40de-944b-e07fc1f90ae7",
    "app://.",
    "app://-",
    "app://obsidian.md",
    "vscode-webview://0p4mo7o9v8",
    "myapp://localhost:8080",
]


@each_row(
    ("text", "origins"),
    [
        ("https://www.example.com", ("https://www.example.com",)),
        (" https://a.example , http://b.example:8080 ", ("https://a.example", "http://b.example:8080")),
        ("https://www.example.com/", ("https://www.example.com",)),
        ("HTTPS://WWW.Example.COM", ("https://www.example.com",)),
        ("https://www.example.com:443", ("https://www.example.com",)),
        ("http://www.example.com:80/", ("http://www.example.com",)),
        ("https://www.example.com:80", ("https://www.example.com:80",)),
        ("https://www.example.com:1443", ("https://www.example.com:1443",)),
        ("http://[::1]:3000", ("http://[::1]:3000",)),
        ("http://localhost:5173,http://127.0.0.1:5173", ("http://localhost:5173", "http://127.0.0.1:5173")),
        ("https://www.example.com:0443", ("https://www.example.com",)),
        ("http://[0:0:0:0:0:0:0:1]:3000", ("http://[::1]:3000",)),
        ("https://münchen.de", ("https://xn--mnchen-3ya.de",)),
        *[(origin, (origin,)) for origin in APPS],
        ("Capacitor://localhost/", ("capacitor://localhost",)),
        # WebKit keeps the case of a host of such a scheme, Chromium does not.
        ("safari-web-extension://AB-1", ("safari-web-extension://AB-1", "safari-web-extension://ab-1")),
    ],
)
def test_origins_are_written_as_browsers_write_them(text, origins):
    assert Config.from_env({"ALLOWED_ORIGINS": text}).allowed_origins == origins


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "https://*",
        "https://*.example.com",
        "null",
        "www.example.com",
        "https://",
        "ftp://www.example.com",
        "https://www.example.com/path",
        "https://www.example.com?x",
        "https://user@www.example.com",
        "https://www.example.com:port",
        "https://www.example.com:123456",
        "https://www.example.com https://b.example",
        "https://münchen.de",
        "https://www.example.com\n",
        ".*",
        "https://www.example.(com|org)",
    ],
)
def test_what_is_no_origin_is_refused_and_named(origin):
    with pytest.raises(ConfigError) as caught:
        Config(allowed_origins=("https://ok.example", origin))

    [problem] = caught.value.problems
    assert problem.startswith("ALLOWED_ORIGINS: ")


@pytest.mark.parametrize(
    ("origin", "nearest"),
    [
        ("www.example.com", "https://www.example.com"),
        ("localhost:3000", "http://localhost:3000"),
        ("https://www.example.com/path?x#y", "https://www.example.com"),
        ("https://user:canary@www.example.com", "https://www.example.com"),
        ("capacitor://localhost/index.html", "capacitor://localhost"),
        ("wss://www.example.com", "https://www.example.com"),
        ("https://a.example https://b.example", "https://a.example"),
        ('"https://www.example.com"', "https://www.example.com"),
    ],
)
def test_what_is_nearly_an_origin_is_answered_with_the_nearest(origin, nearest):
    [problem] = problems_of({"ALLOWED_ORIGINS": origin})

    assert problem.endswith(f"; did you mean {nearest}?")
    assert "canary" not in problem


@pytest.mark.parametrize(
    "origin", ["*", "null", "file://", "data://x", "blob:https://a.example/1", "http://127.1"]
)
def test_what_anybody_can_have_for_an_origin_is_refused(origin):
    assert problems_of({"ALLOWED_ORIGINS": origin})


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("chat.example.com", ("chat.example.com",)),
        (" Chat.Example.com:8443 , [::1]:80 ", ("chat.example.com:8443", "[::1]:80")),
        ("münchen.de,127.0.0.1", ("xn--mnchen-3ya.de", "127.0.0.1")),
    ],
)
def test_hosts_are_written_as_browsers_write_them(text, hosts):
    assert Config.from_env({"TRUSTED_HOSTS": text}).trusted_hosts == hosts


@pytest.mark.parametrize(
    "host", ["*", "*.example.com", ".example.com", "https://chat.example.com", "a b", "a:99999"]
)
def test_what_is_no_host_is_refused_and_named(host):
    [problem] = problems_of({"TRUSTED_HOSTS": host})

    assert problem.startswith("TRUSTED_HOSTS: ")


def test_the_host_of_a_url_is_suggested():
    [problem] = problems_of({"TRUSTED_HOSTS": "https://chat.example.com"})

    assert problem.endswith("did you mean chat.example.com?")


@pytest.mark.parametrize("port", ["0", "65536", "99999"])
def test_an_origin_whose_port_cannot_be_is_refused(port):
    assert problems_of({"ALLOWED_ORIGINS": f"https://www.example.com:{port}"})


@each_row(
    ("name", "text"),
    [
        ("MAX_TOKENS", "many"),
        ("MAX_TOKENS", "0"),
        ("MAX_TOKENS", "-1"),
        ("MAX_TOKENS", "1.5"),
        ("MAX_TOKENS", "9" * 5_000),
        ("MAX_TOKENS", "9" * 400),
        ("PORT", "http"),
        ("PORT", "-1"),
        ("PORT", "65536"),
        ("HOST", "*"),
        ("HOST", "[::1]"),
        ("HOST", "localhost:8000"),
        ("HOST", "http://localhost"),
        ("BIND", "8000"),
        ("BIND", "localhost"),
        ("BIND", "127.0.0.1:65536"),
        ("BIND", "::1:8000"),
        ("BIND", "http://127.0.0.1:8000"),
        ("BIND", "127.0.0.1:8000,127.0.0.2:8000"),
        ("BIND", "unix:"),
        ("REQUEST_TIMEOUT_S", "nan"),
        ("REQUEST_TIMEOUT_S", "inf"),
        ("REQUEST_TIMEOUT_S", "0"),
        ("REQUEST_TIMEOUT_S", "-5"),
        ("REQUEST_TIMEOUT_S", "1 minute"),
        ("CONNECT_TIMEOUT_S", "0"),
        ("HEARTBEAT_S", "0"),
        ("MAX_BODY_BYTES", "20MB"),
        ("MAX_BODY_BYTES", "0"),
        ("CORS_CREDENTIALS", "maybe"),
        ("TRUSTED_PROXIES", "-1"),
        ("TRUSTED_PROXIES", "11"),
        ("APP_ENV", "prod"),
        ("LOG_LEVEL", "loud"),
        ("MAX_TOKENS_PARAM", "max_output_tokens"),
        ("OPENAI_BASE_URL", "localhost:11434"),
        ("OPENAI_BASE_URL", "ftp://example.com"),
        ("OPENAI_BASE_URL", "http://"),
        ("OPENAI_BASE_URL", "http://[::1"),
        ("OPENAI_BASE_URL", "http://example.com:x/"),
        ("OPENAI_BASE_URL", "http://exam ple.com/"),
        ("OPENAI_BASE_URL", "http://a..b/v1"),
        ("AZURE_OPENAI_ENDPOINT", "example.openai.azure.com"),
    ],
)
def test_a_value_that_cannot_be_is_refused_and_named(name, text):
    # The key that Azure would want as well.
    [problem] = problems_of({name: text} | ({"OPENAI_API_KEY": "k"} if name.startswith("AZURE") else {}))

    assert problem.startswith(name)


@pytest.mark.parametrize("key", ["sk-a b", "sk-\u00e9", "sk-\u2026", "sk\n-a", "sk\x00"])
def test_a_key_that_cannot_be_one_is_refused_without_being_repeated(key):
    with pytest.raises(ConfigError) as caught:
        Config(openai_api_key=key)

    assert "OPENAI_API_KEY" in str(caught.value)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "key",
    [
        "'sk-a'",
        'sk-a"',
        '\\"sk-a\\"',
        "sk-a,sk-b",
        "sk-a;",
        "<sk-a>",
        "$OPENAI_KEY",
        "OPENAI_API_KEY=sk-a",
        "Bearer sk-a",
    ],
)
@pytest.mark.parametrize("name", ["openai_api_key", "openai_api_keys"])
def test_what_is_more_than_a_key_is_told_without_being_repeated(name, key):
    with pytest.raises(ConfigError) as caught:
        Config(**{name: key if name == "openai_api_key" else ("sk-good", key)})

    [problem] = caught.value.problems
    assert problem.startswith(f"{name.upper()} contains ")
    assert "sk-" not in problem


@pytest.mark.parametrize("value", ["org 1", "org-1\n", "org-é"])
def test_an_organization_that_no_header_can_have_is_told_without_being_repeated(value):
    problems = problems_of({"OPENAI_ORG_ID": f"{value}x"})

    assert problems == ["OPENAI_ORG_ID contains a space, a control character or one that is not ASCII."]


PLACEHOLDERS = ["sk-...", "sk-xxxxxxxx", "sk-proj-XXXX", "your-key-here", "YOUR_API_KEY", "key-goes-here", "changeme",
                "replace-with-your-key", "none", "EMPTY", "null", "insert-key"]  # fmt: skip


@pytest.mark.parametrize("key", PLACEHOLDERS)
def test_a_placeholder_is_told_at_openai_and_may_be_the_key_of_another_server(key):
    assert problems_of({"OPENAI_API_KEY": key}) == [
        "OPENAI_API_KEY is a placeholder: replace it with your own key."
    ]

    assert Config(openai_api_key=key, openai_base_url="http://127.0.0.1:8080/v1").openai_api_key == key


@pytest.mark.parametrize("key", ["sk-proj-a_b-C3", "1|abc", "id:secret", "ollama", "dGVzdA==", "sk-ant-api03-x"])
def test_keys_as_providers_give_them_are_taken(key):
    assert Config(openai_api_key=key).openai_api_key == key


@pytest.mark.parametrize(
    ("url", "is_valid"),
    [
        ("redis://127.0.0.1", True),
        ("rediss://user:p%40ss@redis.example:6380/3?ssl_cert_reqs=none", True),
        ("unix:///run/redis.sock?db=1", True),
        ("redis://127.0.0.1:port", False),
        ("redis://:p/w@127.0.0.1", False),
        ("redis://127.0.0.1/cache", False),
        ("redis://[::1", False),
    ],
)
def test_a_url_of_redis_that_cannot_be_read_is_told_with_how_to_write_it(url, is_valid):
    found = problems_of({"REDIS_URL": url}) if not is_valid else Config(redis_url=url).redis_url

    assert found == url if is_valid else "%40" in found[0]


@each_row("name", ["CHAT_MODEL", "CHAT_FALLBACK_MODELS", "ALLOWED_MODELS", "MODERATION_MODEL"])
@each_row("model", ["false", "[]", "null"])
def test_a_model_that_cannot_be_one_is_told_with_its_setting(name, model):
    [problem] = problems_of({name: model})

    assert problem.startswith(f"{name}: '{model}' is not a valid model name")


@each_row("name", ["chat_model", "vision_model", "embedding_model"])
@each_row(
    "model", ["", "a,b", "'a'", '"a"', "-x", " a", "a ", "a # my model", "x" * 201, "a\nb", "a\x7f", "a\u200bb"]
)
def test_a_model_that_cannot_be_one_is_refused(name, model):
    with pytest.raises(ConfigError):
        Config(**{name: model})


@each_row("name", ["chat_model", "vision_model", "embedding_model"])
@each_row(
    "model",
    [
        "meta-llama/Llama-3.3-70B-Instruct-Turbo",
        "qwen2.5:7b-instruct-q4_K_M",
        "deepseek/deepseek-r1:free",
        "models/gemini-2.5-flash",
        "claude-sonnet-4@20250514",
        "@cf/meta/llama-3.1-8b-instruct",
        "accounts/fireworks/models/a#accounts/b/deployments/c",
        "/models/llama-3.gguf",
        "../models/llama-3.gguf",
        "C:\\models\\llama-3.gguf",
        "~anthropic/claude-latest",
        "ft:gpt-4o-mini-2024-07-18:acme::abc123",
        "My Local Model (Q4)",
        "GPT 5 für alle",
        "通义千问-plus",
        "модель-7б",
        "hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M",
        "o4-mini[high]",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-3-5-sonnet-20240620-v1:0",
    ],
)
def test_the_names_that_providers_give_models_are_taken(name, model):
    assert getattr(Config.from_env({name.upper(): model, "OPENAI_API_KEY": "k"}), name) == model


def test_every_problem_is_named_at_once():
    problems = problems_of(
        {"APP_ENV": "prod", "LOG_LEVEL": "loud", "MAX_TOKENS": "0", "ALLOWED_ORIGINS": "*,null"}
    )

    assert len(problems) == 5


def test_every_problem_is_named_at_once_whether_of_kind_or_of_sense():
    text = " ".join(problems_of({"APP_ENV": "production", "MAX_TOKENS": "many", "LOG_LEVEL": "loud"}))

    for name in ("MAX_TOKENS", "LOG_LEVEL", "OPENAI_API_KEY", "SECRET_KEY", "ALLOWED_ORIGINS"):
        assert name in text


def test_the_identity_providers_problems_are_named_with_all_others():
    problems = problems_of({"JWT_ALGORITHM": "none", "MAX_TOKENS": "0", "AUTH_REQUIRED": "yes"})

    assert sorted(problem.split()[0] for problem in problems) == ["AUTH_REQUIRED", "JWT_ALGORITHM", "MAX_TOKENS"]


def test_the_message_of_all_problems_has_a_line_for_each():
    error = ConfigError(["First.", "Second."])

    assert str(error).splitlines()[1:] == ["  - First.", "  - Second."]


def test_moderation_must_be_off_at_azure_which_has_none():
    azure = {"AZURE_OPENAI_ENDPOINT": "https://x.openai.azure.com", "OPENAI_API_KEY": "k"}
    with pytest.raises(ConfigError, match="MODERATION must be off with AZURE_OPENAI_ENDPOINT"):
        Config.from_env({**azure, "MODERATION": "input"})


def test_azure_and_a_base_url_exclude_each_other_and_azure_needs_a_key():
    url = "https://x.openai.azure.com"

    assert len(problems_of({"AZURE_OPENAI_ENDPOINT": url, "OPENAI_BASE_URL": f"{url}/openai/v1"})) == 2
    assert Config.from_env({"AZURE_OPENAI_ENDPOINT": url, "OPENAI_API_KEY": "k"}).azure_openai_endpoint == url


def test_production_starts_with_what_it_needs():
    assert Config.from_env(PRODUCTION).is_production
    assert Config.from_env(PRODUCTION | ANONYMOUS).is_production


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"OPENAI_API_KEY": ""}, "OPENAI_API_KEY"),
        ({"SECRET_KEY": ""}, "SECRET_KEY"),
        ({"SECRET_KEY": "s" * 31}, "SECRET_KEY"),
        ({"ALLOWED_ORIGINS": ""}, "ALLOWED_ORIGINS"),
        ({"ALLOWED_ORIGINS": " , "}, "ALLOWED_ORIGINS"),
        ({"ALLOWED_ORIGINS": "*"}, "ALLOWED_ORIGINS"),
        ({"AUTH_REQUIRED": "false"}, "AUTH_REQUIRED"),
        ({"AUTH_REQUIRED": ""}, "AUTH_REQUIRED"),
        (ANONYMOUS | {"ADDRESS_RATE_LIMIT": ""}, "AUTH_REQUIRED"),
        (ANONYMOUS | {"ANONYMOUS_BUDGET_USD": "0"}, "AUTH_REQUIRED"),
    ],
)
def test_production_refuses_to_start_without_it_and_names_it(change, name):
    [problem] = problems_of(PRODUCTION | change)

    assert problem.startswith(name)


def test_production_names_everything_that_it_lacks():
    assert len(problems_of({"APP_ENV": "production"})) == 4


def test_the_bounds_that_anonymous_use_lacks_are_named():
    [problem] = problems_of(PRODUCTION | ANONYMOUS | {"ADDRESS_RATE_LIMIT": ""})
    assert "ADDRESS_RATE_LIMIT" in problem
    assert "ANONYMOUS_BUDGET_USD" not in problem


@pytest.mark.parametrize("scope", ["batches", "admin", "all-tenants", "chats"])
def test_what_nobody_may_do_without_a_credential_is_named(scope):
    [problem] = problems_of({"ANONYMOUS_SCOPES": f"chat,{scope}"})
    assert problem.startswith("ANONYMOUS_SCOPES: ")
    assert scope in problem
    assert ("BATCHES" in problem) is (scope == "batches")


def test_strangers_may_chat_in_production_and_try_everything_in_development():
    everything = {"chat", "vision", "embeddings", "structured", "usage"}
    assert Config().allowed_anonymous_scopes == everything
    assert Config.from_env(PRODUCTION | ANONYMOUS).allowed_anonymous_scopes == {"chat"}
    named = {"ANONYMOUS_SCOPES": "embeddings, usage"}
    for environ in (PRODUCTION | ANONYMOUS | named, named):
        assert Config.from_env(environ).allowed_anonymous_scopes == {"embeddings", "usage"}


@pytest.mark.parametrize(
    ("settings", "is_told"),
    [
        ({}, False),
        ({"HOST": "0.0.0.0"}, True),
        ({"HOST": "::"}, True),
        ({"HOST": "192.168.1.5"}, True),
        ({"HOST": "gate.local"}, True),
        ({"HOST": "127.0.0.2"}, False),
        ({"HOST": "::1"}, False),
        ({"HOST": "localhost"}, False),
        ({"BIND": "0.0.0.0:80"}, True),
        ({"BIND": "[::]:80"}, True),
        ({"BIND": ":80"}, True),
        ({"BIND": "[::1]:80"}, False),
        ({"BIND": "127.0.0.1:80", "HOST": "0.0.0.0"}, False),
        ({"BIND": "unix:/run/x.sock", "HOST": "0.0.0.0"}, False),
        ({"HOST": "0.0.0.0", "OPENAI_API_KEY": ""}, False),
        ({"HOST": "0.0.0.0", "OPENAI_API_KEY": "", "OPENAI_BASE_URL": "http://models.local/v1"}, True),
        ({"HOST": "0.0.0.0", "AUTH_REQUIRED": "true", "SECRET_KEY": "s" * 32}, True),
        (PRODUCTION | {"HOST": "0.0.0.0"}, False),
    ],
)
def test_a_development_server_that_others_can_reach_says_what_that_means(settings, is_told):
    told = describe_exposure(Config.from_env({"OPENAI_API_KEY": SECRET} | settings))

    assert (told is not None) is is_told
    if told is not None:
        assert settings.get("HOST", settings.get("BIND")) in told
        assert "everyone who can reach this machine can use" in told
        assert "\n" not in told
        assert SECRET not in told


@pytest.mark.parametrize(
    ("settings", "is_offline"),
    [
        ({}, True),
        ({"openai_api_key": "k"}, False),
        ({"openai_base_url": "http://localhost:1/v1"}, False),
    ],
)
def test_the_offline_model_answers_where_no_upstream_is_configured(settings, is_offline):
    assert Config(**settings).is_offline is is_offline


def test_secrets_appear_in_no_repr():
    config = Config(openai_api_key=SECRET, secret_key="canary" * 8)

    assert "canary" not in repr(config)
    assert "canary" not in str(config)


def test_a_config_cannot_be_changed():
    with pytest.raises(AttributeError):
        Config().chat_model = "other"


def test_each_operation_offers_its_own_model_the_fallbacks_and_those_allowed():
    config = Config(chat_model="c", chat_fallback_models=("f",), vision_model="v", allowed_models=("a",))

    assert config.models.offered == {
        "chat": ("c", "f", "a"),
        "structured": ("c", "f", "a"),
        "vision": ("v", "a"),
        "embeddings": ("text-embedding-3-small", "a"),
    }


def test_only_chat_and_structured_have_fallbacks():
    config = Config(chat_fallback_models=("f", "g"))

    assert config.models.fallbacks == {
        "chat": ("f", "g"),
        "structured": ("f", "g"),
        "vision": (),
        "embeddings": (),
    }


def test_the_key_is_not_shown_in_the_settings_of_the_connection():
    assert "canary" not in repr(Config(openai_api_key="canary").connection)


def example():
    """The variables of .env.example with their values, and whether a comment explains each."""
    found, before = {}, ""
    for line in (ROOT / ".env.example").read_text().splitlines():
        if match := re.fullmatch(r"([A-Z][A-Z0-9_]*)=(.*)", line):
            assert match[1] not in found, f"{match[1]} stands there twice"
            found[match[1]] = (match[2], before)
        before = line
    return found


def test_the_example_has_every_setting_and_no_other():
    assert set(example()) == {field.name.upper() for field in fields(Config)}


def test_the_example_explains_every_setting():
    unexplained = [
        name
        for name, (_, before) in example().items()
        if not before.startswith("# ") or before.startswith("# ---")
    ]

    # One comment stands over both parts of the address.
    assert unexplained == ["PORT"]


def test_the_example_has_the_defaults():
    values = {name: value for name, (value, _) in example().items()}

    assert Config.from_env(values) == Config()
    for field in fields(Config):
        assert field.default is not MISSING
        if field.default not in ("", (), None):
            assert values[field.name.upper()], f"{field.name} has a default that the example does not show"


def test_images_that_openai_makes_need_a_price():
    [problem] = problems_of({"ALLOWED_OPENAI_TOOLS": "web_search,image_generation"})
    assert "image_generation" in problem
    assert "set OPENAI_IMAGE_PRICE_USD to the maximum cost of one image" in problem
    priced = Config.from_env({"ALLOWED_OPENAI_TOOLS": "image_generation", "OPENAI_IMAGE_PRICE_USD": "0.5"})
    assert (priced.allowed_openai_tools, priced.openai_image_price_usd) == (("image_generation",), 0.5)


def test_tools_that_openai_runs_need_the_endpoint_that_has_them():
    [problem] = problems_of({"ALLOWED_OPENAI_TOOLS": "web_search", "UPSTREAM_API": "chat"})
    assert "ALLOWED_OPENAI_TOOLS" in problem


@pytest.mark.parametrize("kind", ["web_search_preview", "shell", "local_shell", "apply_patch"])
def test_tools_that_openai_runs_and_that_cannot_be_allowed_are_named_with_those_that_can(kind):
    [problem] = problems_of({"ALLOWED_OPENAI_TOOLS": f"web_search,{kind}"})
    assert problem.startswith(
        "ALLOWED_OPENAI_TOOLS may contain web_search, code_interpreter, file_search, mcp, image_generation,"
    )
    assert f"but not '{kind}'" in problem
