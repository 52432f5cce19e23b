from __future__ import annotations

import pytest

from app.config import Config
from app.openai_service.transport.model_notices import announced_shutdowns


def test_the_installed_package_knows_when_models_end():
    assert announced_shutdowns()["gpt-4o"] == "2027-01-14"


def test_no_model_that_is_shipped_as_a_default_is_about_to_end():
    config = Config()
    shipped = {*config.models.answering, config.embedding_model}

    assert not shipped & set(announced_shutdowns())


@pytest.mark.parametrize(
    "settings",
    [
        {"chat_model": "gpt-4o"},
        {"chat_fallback_models": ("gpt-4o",)},
        {"vision_model": "gpt-4o"},
        {"allowed_models": ("gpt-4o",)},
        {"chat_model": "gpt-4o", "vision_model": "gpt-4o", "allowed_models": ("gpt-4o",)},
    ],
)
def test_a_configured_model_that_will_end_is_warned_of_once(capfd, make_app, settings):
    make_app(**settings)

    warnings = [line for line in capfd.readouterr().err.splitlines() if "WARNING" in line]
    assert len(warnings) == 1
    assert warnings[0].endswith("WARNING model.shutdown_announced model=gpt-4o date=2027-01-14")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"openai_api_key": "", "chat_model": "gpt-4o"},
        {"azure_openai_endpoint": "https://acme.openai.azure.com", "chat_model": "gpt-4o"},
    ],
)
def test_nothing_is_said_where_there_is_nothing_to_say(capfd, make_app, settings):
    make_app(**settings)

    assert "shutdown" not in capfd.readouterr().err


def test_a_package_that_looks_otherwise_does_no_harm(monkeypatch, tmp_path):
    class Spec:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr("importlib.util.find_spec", lambda _: Spec)
    assert announced_shutdowns() == {}

    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert announced_shutdowns() == {}
