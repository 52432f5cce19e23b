"""The console and the other pages, in a real browser, over the offline model. The scenarios are in pages/."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.running_server import HERE
from tests.fakes.servers import free_port, gunicorn, make_key

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed"),
]

_PATIENCE_S = 240
_PROMPT = """
system = "You serve {{name}}, {{stars}}, {{open}}."
[variables.name]
[variables.stars]
type = "integer"
min = 1
max = 5
default = 3
[variables.open]
type = "boolean"
default = true
"""


def _list_scenarios() -> list[str]:
    script = (HERE / "pages" / "console.mjs").read_text("utf-8")
    return re.findall(r"^export async function (\w+)\(", script, re.MULTILINE)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A server in development, without an OpenAI key; and a key of its own."""
    port, prompts = free_port(), tmp_path_factory.mktemp("prompts")
    (prompts / "shop.toml").write_text(_PROMPT)
    (prompts / "other.toml").write_text('system = "Be brief."')
    settings = {
        "PORT": str(port),
        "PROMPTS_DIR": str(prompts),
        "SECRET_KEY": "k" * 48,
        "WEB_CONCURRENCY": "1",
        "DATABASE_URL": f"sqlite:///{tmp_path_factory.mktemp('data')}/gatehouse.sqlite3",
    }
    with gunicorn(wait_for=port, **settings):
        key = make_key("flask keys create --name console", settings)
        yield {"server": f"http://127.0.0.1:{port}", "key": key}


@pytest.fixture(scope="module")
def results(place: dict[str, str]) -> dict[str, str | None]:
    """What came of each scenario: None, or its error."""
    return _run(place)


@pytest.mark.parametrize("scenario", _list_scenarios())
def test_in_a_browser(results, scenario):
    assert results[scenario] is None, results[scenario]


@pytest.mark.skipif("PICTURES" not in os.environ, reason="`make pictures` draws them")
def test_pictures_are_drawn(place, pictures):
    assert _run({**place, "pictures": str(pictures)}) == {"pictures": None}


def _run(options: dict[str, Any]) -> dict[str, str | None]:
    done = subprocess.run(
        ["node", Path("pages") / "run.mjs", json.dumps({**options, "python": sys.executable})],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results: dict[str, str | None] = json.loads(done.stdout)
    return results
