from __future__ import annotations

import gc
import importlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

import app as application
from app import create_app, services
from app.auth import jwks
from app.config import Config
from app.openai_service import CallRecord
from app.openai_service.responses import answer, stream
from app.openai_service.streaming import ticks
from app.runtime import clock as real_clock
from app.storage.database.database import open_database
from app.storage.shared_state import MemoryState
from app.web import guards
from tests.fakes.generated import IS_THOROUGH
from tests.fakes.identity_provider import AUDIENCE, ISSUER, JWKS_URL, IdentityProvider, MovableClock
from tests.fakes.memory_folder import MEMORY_FOLDER
from tests.fakes.shared_parts import kept_side_processes, shared_parts, side_process_stock
from tests.fakes.site import SECRET_KEY, Site
from tests.fakes.storage.databases import migrated_file
from tests.fakes.upstreams.fake_openai import FakeOpenAI
from tests.fakes.wire.closing_client import ClosingClient

__all__ = ["kept_side_processes", "migrated_file", "shared_parts", "side_process_stock"]

KEY = "sk-canary-0123456789"
ORIGIN = "https://www.example.com"

over_both_endpoints = pytest.mark.parametrize("upstream_api", ["auto", "responses"])
"""The same tests over /chat/completions, or what the model needs, and over /responses."""


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # until all tests are collected: nothing of what that makes is dropped
    if MEMORY_FOLDER is not None:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", MEMORY_FOLDER)  # of tmp_path
    # xdist would hand out the files with the most tests first. Those of real servers have few, each of which takes
    # seconds: they would come last, and one process would still be at them when the others have nothing left to do.
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_sessionstart(session: pytest.Session) -> None:
    """Import another part of the files of tests first in each process of xdist.

    All processes import all files. In a fresh clone each would compile all of them, at the same time as the others; so
    each finds most of them compiled.
    """
    worker, tests = getattr(session.config, "workerinput", None), Path(__file__).parent
    if worker is None or [Path(each).resolve() for each in session.config.args] != [tests]:
        return
    number = int(worker["workerid"].removeprefix("gw"))
    folders = [each for each in tests.iterdir() if each.name != "clients"]  # where npm's packages are
    files = sorted(file for folder in folders for file in folder.rglob("test_*.py"))
    for file in files[number :: worker["workercount"]]:
        sys.path.insert(0, str(file.parent))  # as pytest does
        with suppress(Exception):  # pytest imports it again, and says what is wrong
            importlib.import_module(file.stem)


def pytest_collection_modifyitems() -> None:
    """Have hypothesis try the constants of all modules in `make thorough` only: each process reads them for a second."""
    providers = sys.modules.get("hypothesis.internal.conjecture.providers")
    if providers is not None and not IS_THOROUGH:
        assert callable(providers.is_local_module_file)  # private API
        providers.is_local_module_file = lambda _: False


def pytest_collection_finish() -> None:
    """Keep the collector from walking what stays again and again: that took about a third of the time of many tests."""
    gc.freeze()  # without a collection before, which takes as long as the import of fifty files of tests
    gc.set_threshold(10_000, 10, 10)
    gc.enable()


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all tests of this process keep one ledger: making its tables takes longer than most tests do."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session", autouse=True)
def _own_root(data_root: Path) -> Iterator[None]:
    ledger = open_database(Config().database_url, data_root)
    ledger.migrate()  # Its connection stays open: SQLite removes its log when the last one is closed, and makes it anew.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services, "_ROOT", data_root)
        yield
    ledger.close()


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[list[float]]:
    """What every test has: no wait takes time, its applications are closed, and both endpoints give the same ids.

    It is one fixture, as each takes pytest a twentieth of the time of a small test. It yields the waits.
    """
    kept: list[float] = []
    monkeypatch.setattr(ticks, "sleep", kept.append)
    if find_endpoint(request) == "responses":
        if request.node.get_closest_marker("chat_form"):
            pytest.skip("about the form of chat completions")
        for module in (answer, stream):
            monkeypatch.setattr(module, "make_answer_id", lambda _: "chatcmpl-1")

    # What an application holds open is closed: from Python 3.13 on SQLite warns of what is only dropped.
    built: list[services.Services] = []

    def install_and_note(app: Flask, each: services.Services) -> None:
        services.install(app, each)
        built.append(each)

    monkeypatch.setattr(application, "install", install_and_note)
    yield kept
    ClosingClient.close_answers()
    for each in built:
        each.database.driver._has_changes = False  # nothing of them has to outlive a power failure
        each.close()


def find_endpoint(request: pytest.FixtureRequest) -> str:
    """The endpoint that answers conversations; `TEST_UPSTREAM_API=responses pytest` runs any test over the other one."""
    parameters: dict[str, Any] = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    return parameters.get("upstream_api") or os.environ.get("TEST_UPSTREAM_API", "auto")


@pytest.fixture
def upstream() -> FakeOpenAI:
    return FakeOpenAI()


@pytest.fixture
def upstream_api(request: pytest.FixtureRequest) -> str:
    return find_endpoint(request)


@pytest.fixture
def make_app(upstream: FakeOpenAI, upstream_api: str, request: pytest.FixtureRequest) -> Callable[..., Flask]:
    """Builds the real application over the fake upstream, with other settings where they are given."""
    own: dict[str, Any] = {"openai_api_key": KEY, "allowed_origins": (ORIGIN,), "upstream_api": upstream_api}
    if request.node.get_closest_marker("one_attempt"):
        own |= {"retry_max_attempts": 1, "chat_fallback_models": ()}

    def make(**settings: Any) -> Flask:
        config = Config(**{**own, **settings})
        return create_app(config, http_client=upstream.http_client, shared_state=MemoryState())

    return make


@pytest.fixture
def waits(_surroundings: list[float]) -> list[float]:
    """The waits between attempts, in seconds, none of which takes any time."""
    return _surroundings


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
    monkeypatch.setattr(application, "log_call", kept.append)
    return kept


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> MovableClock:
    clock = MovableClock()
    monkeypatch.setattr(real_clock, "now", clock.now)
    monkeypatch.setattr(real_clock, "ticks", clock.now)
    return clock


@pytest.fixture
def make_site(
    make_app: Callable[..., Flask],
    migrated_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    clock: MovableClock,
) -> Callable[..., Site]:
    provider = IdentityProvider()
    monkeypatch.setattr(jwks, "fetch_key_set", provider.fetch)
    shutil.copy(migrated_file, tmp_path / "site.sqlite3")

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
        return Site(make_app(**{**own, **settings}), provider)

    return make


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


@pytest.fixture
def principals(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Who each request that was let in came from."""
    kept: list[Any] = []
    real = guards._check_principal

    def admitted(*args: Any) -> Any:
        kept.append(real(*args))
        return kept[-1]

    monkeypatch.setattr(guards, "_check_principal", admitted)
    return kept
