"""The README's recipe for a server, run as it is written, and called by a stranger."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from dotenv import dotenv_values

from tests.deploy.test_unit import values_of
from tests.fakes.servers import ROOT, FakeUpstream, exchange, free_port, gunicorn, make_key, wait_until
from tests.fakes.wire.bodies import ROUTES, SMALLEST

pytestmark = pytest.mark.servers


def recipe(page: Path) -> list[str]:
    """The lines of a page that make .env, and the key, with their `sudo` and the owner of the file left out."""
    lines = re.findall(
        r"^sudo (?:-u gatehouse )?((?:install|sed|nano|\.venv/bin/flask keys) .*)$",
        page.read_text("utf-8"),
        re.MULTILINE,
    )
    own = [
        line.replace("-o gatehouse -g gatehouse ", "")
        for line in lines
        if re.search(r"\.env\b|flask keys", line) and "/etc/" not in line
    ]
    assert len(own) >= 4, own
    return own


def find_key_command(page: Path) -> str:
    """The command that the page has for making a key."""
    return next(line for line in recipe(page) if "flask keys create" in line)


def follow(page: Path, folder: Path) -> dict[str, str]:
    """Do what the recipe says in a folder, and return the settings that come of it."""
    (folder / ".env.example").write_bytes((ROOT / ".env.example").read_bytes())
    for line in recipe(page):
        if line.startswith(("install", "sed")):
            subprocess.run(["sh", "-c", line], cwd=folder, check=True)
    settings = {name: value or "" for name, value in dotenv_values(folder / ".env").items()}
    assert settings["APP_ENV"] == "production"
    unit = dict(line.split("=", 1) for line in values_of("gatehouse.service")["Environment"])
    unit.pop("BIND")
    filled_in = {"OPENAI_API_KEY": "sk-canary", "ALLOWED_ORIGINS": "https://chat.example.com"}
    where = {
        "STATE_DIR": str(folder),
        "DATA_DIR": str(folder),
        "DATABASE_URL": f"sqlite:///{folder}/gatehouse.sqlite3",
    }
    return {**settings, **filled_in, **unit, **where, "WEB_CONCURRENCY": "2"}


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.mark.parametrize("page", ["README.md", "docs/deploying.md"])
def test_the_recipe_as_written_serves_nobody_but_who_has_a_key(
    page: str, tmp_path: Path, upstream: FakeUpstream
) -> None:
    upstream.received.clear()
    settings = follow(ROOT / page, tmp_path)
    port = free_port()
    settings |= {"PORT": str(port), "OPENAI_BASE_URL": upstream.url}

    with gunicorn(wait_for=port, **settings) as server:
        wait_until(lambda: "ready" in server.log(), "all workers are there")
        for route in [*ROUTES, "/api/batches", "/api/tokens"]:
            for headers in ({}, {"Origin": "https://chat.example.com"}, {"X-Forwarded-For": "192.0.2.1"}):
                with exchange(port, "POST", route, SMALLEST.get(route, {}), headers=headers) as response:
                    assert response.status == 401, (route, response.read())
        with exchange(port, "GET", "/") as response:  # what this is, in one sentence
            assert (response.status, response.headers["Content-Type"]) == (200, "application/json")
        assert upstream.received == []

        headers = {"Authorization": f"Bearer {make_key(find_key_command(ROOT / page), settings)}"}
        with exchange(port, "POST", "/api/chat", {"message": "Hello"}, headers=headers) as response:
            assert response.status == 200, response.read()
        assert len(upstream.received) == 1


@pytest.mark.parametrize("page", ["README.md", "docs/deploying.md"])
def test_the_recipe_removes_the_other_default_site(page: str) -> None:
    # The site is a default_server, of which Nginx starts with one only; Debian's own site is another.
    assert "listen 80 default_server;" in (ROOT / "deploy/nginx.conf").read_text("utf-8")

    lines = (ROOT / page).read_text("utf-8").splitlines()

    assert lines.index("sudo rm -f /etc/nginx/sites-enabled/default") < next(
        number for number, line in enumerate(lines) if line.startswith("sudo nginx -t")
    )


def test_the_recipe_without_that_line_does_not_start(tmp_path: Path) -> None:
    settings = follow(ROOT / "README.md", tmp_path)
    with gunicorn(wait_for=None, **settings | {"AUTH_REQUIRED": "", "PORT": str(free_port())}) as server:
        assert server.process.wait(timeout=20) == 4
        log = server.log()

    assert "ADDRESS_RATE_LIMIT and ANONYMOUS_BUDGET_USD" in log
    assert "sk-canary" not in log


def test_a_development_server_that_others_can_reach_warns_once() -> None:
    port = free_port()
    with gunicorn(wait_for=port, HOST="0.0.0.0", PORT=str(port), OPENAI_API_KEY="sk-canary") as server:
        wait_until(lambda: "ready" in server.log(), "all workers are there")
        log = server.log()
    warnings = [line for line in log.splitlines() if "HOST=0.0.0.0" in line]
    assert len(warnings) == 1
    assert " WARNING gunicorn message=" in warnings[0]
    assert "everyone who can reach this machine can use your OPENAI_API_KEY, without a credential" in warnings[0]
    assert "sk-canary" not in log
