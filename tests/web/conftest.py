from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from app.web import guards
from tests.conftest import ORIGIN
from tests.fakes.identity_provider import AUDIENCE, ISSUER, JWKS_URL, IdentityProvider, MovableClock
from tests.fakes.site import SECRET_KEY, Site


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> MovableClock:
    clock = MovableClock()
    monkeypatch.setattr("app.runtime.clock.now", clock.now)
    monkeypatch.setattr("app.runtime.clock.ticks", clock.now)
    return clock


@pytest.fixture
def make_site(
    make_app: Callable[..., Flask],
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
    clock: MovableClock,
) -> Iterator[Callable[..., Site]]:
    provider = IdentityProvider()
    monkeypatch.setattr("app.auth.jwks.fetched", provider.fetch)
    apps: list[Flask] = []

    def make(**settings: Any) -> Site:
        own = {
            "auth_required": True,
            "secret_key": SECRET_KEY,
            "database_url": f"sqlite:///{tmp_path}/site.sqlite3",
            "jwt_issuer": ISSUER,
            "jwt_audience": AUDIENCE,
            "jwt_jwks_url": JWKS_URL,
            "allowed_origins": (ORIGIN, "https://app.example.com"),
        }
        apps.append(make_app(**{**own, **settings}))
        return Site(apps[-1], provider)

    yield make
    for app in apps:
        app.extensions["gatehouse"].database.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


@pytest.fixture
def principals(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Who each request that was let in came from."""
    kept: list[Any] = []
    real = guards._admitted

    def admitted(*args: Any) -> Any:
        kept.append(real(*args))
        return kept[-1]

    monkeypatch.setattr(guards, "_admitted", admitted)
    return kept
