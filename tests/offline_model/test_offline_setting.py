"""OFFLINE_MODEL_AS, through the application."""

import pytest

from app import create_app
from app.config import Config, ConfigError
from tests.fakes.tables import each_row


def make_client(**settings):
    return create_app(Config(openai_api_key="", chat_model="mine", **settings)).test_client()


@each_row(
    ("settings", "adjusted"),
    [
        ({}, "temperature=dropped"),
        ({"offline_model_as": "gpt-6-luna"}, "temperature=dropped"),
        ({"offline_model_as": "gpt-4.1"}, None),
    ],
)
def test_a_model_that_nobody_knows_accepts_what_the_played_one_does(monkeypatch, settings, adjusted):
    monkeypatch.setattr("app.offline_model.completion.time.sleep", lambda _: None)
    answer = make_client(**settings).post("/api/chat", json={"message": "Hi", "temperature": 0.5})

    assert answer.status_code == 200
    assert answer.headers.get("X-Params-Adjusted") == adjusted


def test_a_model_to_play_must_be_known():
    with pytest.raises(
        ConfigError, match=r"OFFLINE_MODEL_AS: 'gpt-0' is not one of the models in docs/models\.md"
    ):
        make_client(offline_model_as="gpt-0")
