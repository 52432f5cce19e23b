"""<gatehouse-chat> in pages of another origin, under a strict policy, in a real browser. The scenarios are in gatehouse_chat/."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.running_server import HERE
from tests.fakes.servers import exchange, free_port, gunicorn, make_key

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed"),
]

_FOLDER = HERE / "gatehouse_chat"
_SCRIPTS = ("talk.mjs", "trouble.mjs", "files.mjs", "access.mjs", "safety.mjs")
_PATIENCE_S = 240


def _list_scenarios() -> list[str]:
    pattern = re.compile(r"^export async function (\w+_\w+)\(", re.MULTILINE)
    return [name for script in _SCRIPTS for name in pattern.findall((_FOLDER / script).read_text("utf-8"))]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A server, and where its upstream and the pages are to be."""
    port, upstream_port, page_port = free_port(), free_port(), free_port()
    database = tmp_path_factory.mktemp("chat") / "gatehouse.sqlite3"
    settings = {
        "PORT": str(port),
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream_port}/v1",
        "SECRET_KEY": "k" * 48,
        "DATABASE_URL": f"sqlite:///{database}",
        "ALLOWED_ORIGINS": f"http://127.0.0.1:{page_port}",
        "CHAT_FALLBACK_MODELS": "none",
        "RETRY_MAX_ATTEMPTS": "1",
        "BREAKER_FAILURES": "1000",
        "RATE_LIMIT": "500/minute",
        "WEB_CONCURRENCY": "1",
    }
    with gunicorn(wait_for=port, **settings):
        key = make_key("flask keys create --name site", settings)
        body = {"userId": "anna", "ttlS": 600, "scopes": ["chat", "vision", "usage"], "budgetUsd": 5}
        with exchange(port, "POST", "/api/tokens", body, headers={"Authorization": f"Bearer {key}"}) as answer:
            token = json.loads(answer.read())["token"]
        server = f"http://127.0.0.1:{port}"
        yield {"server": server, "upstreamPort": upstream_port, "pagePort": page_port, "visitorToken": token}


@pytest.fixture(scope="module")
def results(places: dict[str, Any]) -> dict[str, str | None]:
    """What came of each scenario: None, or its error."""
    return _run(places, _SCRIPTS)


@pytest.mark.parametrize("scenario", _list_scenarios())
def test_in_a_browser(results, scenario):
    assert results[scenario] is None, results[scenario]


def test_markdown_is_what_a_kept_library_makes_of_it():
    ran = subprocess.run(["node", _FOLDER / "markdown.mjs"], cwd=HERE, capture_output=True, timeout=60, check=True)
    result = json.loads(ran.stdout)

    assert result["differences"] == []
    assert result["samples"] > 40


def test_its_types():
    options = [
        "--noEmit",
        "--strict",
        "--target",
        "es2023",
        "--lib",
        "es2023,dom",
        "--module",
        "nodenext",
        "--types",
        "",
    ]
    ran = subprocess.run(
        ["node_modules/.bin/tsc", *options, "gatehouse_chat/sample.ts"],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout


@pytest.mark.skipif("PICTURES" not in os.environ, reason="`make pictures` draws them")
@pytest.mark.usefixtures("pictures")
def test_pictures_are_drawn(places):
    assert set(_run(places, ("looks.mjs",)).values()) == {None}


def _run(places: dict[str, Any], scripts: tuple[str, ...]) -> dict[str, str | None]:
    done = subprocess.run(
        ["node", Path("gatehouse_chat") / "run.mjs", json.dumps({**places, "scripts": scripts})],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results: dict[str, str | None] = json.loads(done.stdout)
    return results
