"""Secrets from files: containers and systemd hand them over so, and no process list shows them."""

from __future__ import annotations

from dataclasses import fields

import pytest

from app.config import Config, ConfigError
from app.config.env_file import load_config
from tests.fakes.site import SECRET_KEY

SECRETS = {
    "OPENAI_API_KEY": "sk-canary-0123456789",
    "OPENAI_ADMIN_KEY": "sk-admin-canary",
    "OPENAI_API_KEYS": "sk-canary-1\nsk-canary-2",
    "SECRET_KEY": SECRET_KEY,
    "SECRET_KEY_FALLBACKS": "f" * 40,
    "PSEUDONYM_SECRET": "canary-" + "p" * 40,
    "JWT_SECRET": "j" * 40,
    "OPENAI_WEBHOOK_SECRET": "whsec_" + "YWJj" * 8,
    "USAGE_WEBHOOK_URL": "https://me:canary@me.example/usage?token=canary",
    "USAGE_WEBHOOK_SECRET": "whsec_" + "YWJj" * 8,
    "STRIPE_API_KEY": "rk_live_canary",
    "DATABASE_URL": "postgresql+psycopg://user:canary@db.example/gatehouse",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "https://me:canary@traces.example",
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=canary",
    "REDIS_URL": "redis://:canary@redis.example:6379/0",
}


LISTS = {"OPENAI_API_KEYS": ("sk-canary-1", "sk-canary-2"), "SECRET_KEY_FALLBACKS": ("f" * 40,)}
JWT = {"JWT_ISSUER": "https://me.example", "JWT_AUDIENCE": "me", "JWT_ALGORITHM": "HS256"}
NEEDED = {
    "JWT_SECRET": JWT,
    "SECRET_KEY_FALLBACKS": {"SECRET_KEY": SECRET_KEY},
    "USAGE_WEBHOOK_URL": {"USAGE_WEBHOOK_SECRET": "whsec_" + "YWJj" * 8},
    "USAGE_WEBHOOK_SECRET": {"USAGE_WEBHOOK_URL": "https://me.example/usage"},
    "STRIPE_API_KEY": {"STRIPE_METER": "tokens"},
}


def test_every_secret_may_come_from_a_file(tmp_path):
    assert set(SECRETS) == {field.name.upper() for field in fields(Config) if not field.repr}
    for name, secret in SECRETS.items():
        path = tmp_path / name
        path.write_text(f"{secret}\n")
        config = Config.from_env({f"{name}_FILE": f" {path} "} | NEEDED.get(name, {}))

        assert getattr(config, name.lower()) == LISTS.get(name, secret)
        assert "canary" not in repr(config)


def test_a_file_of_env_may_name_it(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (tmp_path / "key").write_text("sk-canary-0123456789\r\n")
    (tmp_path / ".env").write_text(f"OPENAI_API_KEY_FILE={tmp_path}/key\n")

    assert load_config(tmp_path).openai_api_key == "sk-canary-0123456789"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"", "it is empty"),
        (b" \n\n", "it is empty"),
        (b"\xff\xfe", "it is not encoded as UTF-8"),
        (b"canary" * 20_000, "it is too large for a secret"),
    ],
)
def test_a_file_that_has_no_secret_stops_the_start_and_is_not_shown(tmp_path, content, reason):
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        Config.from_env({"OPENAI_API_KEY_FILE": str(path)})

    [problem] = caught.value.problems
    assert problem.startswith("OPENAI_API_KEY_FILE: the file cannot be read (")
    assert reason in problem
    assert "canary" not in problem


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ConfigError, match="OPENAI_API_KEY_FILE: the file cannot be read"):
        Config.from_env({"OPENAI_API_KEY_FILE": str(tmp_path)})


def test_a_secret_that_is_given_twice_stops_the_start(tmp_path):
    (tmp_path / "key").write_text("one")

    with pytest.raises(ConfigError, match="OPENAI_API_KEY is set as well; set only one of the two"):
        Config.from_env({"OPENAI_API_KEY_FILE": str(tmp_path / "key"), "OPENAI_API_KEY": "two"})


def test_only_secrets_come_from_files(tmp_path):
    (tmp_path / ".env").write_text("CHAT_MODEL_FILE=/run/model\n")

    with pytest.raises(ConfigError, match="CHAT_MODEL_FILE is not a setting"):
        load_config(tmp_path)
