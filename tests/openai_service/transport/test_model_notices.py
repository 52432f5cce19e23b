from __future__ import annotations

import pytest

from app.config import Config
from app.models.families import find_family


def test_no_model_that_is_shipped_as_a_default_is_about_to_end():
    config = Config()
    families = [find_family(model) for model in config.models.answering]

    assert all(families)
    assert not [family.name for family in families if family.shutdown]


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


@pytest.mark.parametrize("model", ["gpt-4o-2024-11-20", "ft:gpt-4o-mini:acme::1"])
def test_a_snapshot_and_a_fine_tune_end_with_their_model(capfd, make_app, model):
    make_app(chat_model=model)

    assert f"model.shutdown_announced model={model} date=2027-01-14" in capfd.readouterr().err


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
