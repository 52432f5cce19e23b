from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import openai
import pytest
from flask import Flask

Connect = Callable[..., openai.OpenAI]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes OpenAI's own client of an application, which it calls in this process."""
    opened: list[httpx2.Client] = []

    def make(app: Flask, api_key: str = "anonymous", **settings: Any) -> openai.OpenAI:
        opened.append(httpx2.Client(transport=httpx2.WSGITransport(app=app)))
        own = {"base_url": "http://localhost/v1", "max_retries": 0, "http_client": opened[-1]}
        return openai.OpenAI(api_key=api_key, **{**own, **settings})

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def sdk(app: Flask, connect: Connect) -> openai.OpenAI:
    return connect(app)


@pytest.fixture
def sdk_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client waits before it tries again, none of which takes any time."""
    kept: list[float] = []
    monkeypatch.setattr("openai._base_client.time.sleep", kept.append)
    return kept
