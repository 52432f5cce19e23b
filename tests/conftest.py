from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.config import Config
from app.openai_service import CallRecord
from tests.fakes.fake_openai import FakeOpenAI

KEY = "sk-canary-0123456789"
ORIGIN = "https://www.example.com"


@pytest.fixture
def upstream() -> FakeOpenAI:
    return FakeOpenAI()


@pytest.fixture
def make_app(upstream: FakeOpenAI) -> Callable[..., Flask]:
    """Builds the real application over the fake upstream, with other settings where they are given."""

    def make(**settings: Any) -> Flask:
        config = Config(**{"openai_api_key": KEY, "allowed_origins": (ORIGIN,), **settings})
        return create_app(config, http_client=upstream.http_client)

    return make


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> list[CallRecord]:
    """The record of each call that the application under test makes."""
    kept: list[CallRecord] = []
    monkeypatch.setattr("app.log_call", kept.append)
    return kept
