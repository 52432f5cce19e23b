"""The pages of administration and of usage in Chromium: with and without scripts, small and large, light and dark."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from app import create_app
from app.config import Config
from app.storage.shared_state import MemoryState
from tests.fakes.storage.rows import add_rows

HERE = Path(__file__).parent

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed"),
]


class _Quiet(WSGIRequestHandler):
    def log_request(self, code="-", size="-"):
        """Say nothing: each page loads several files."""


@pytest.fixture
def app(tmp_path):
    return create_app(
        Config(
            secret_key="s" * 40,
            auth_required=True,
            database_url=f"sqlite:///{tmp_path}/pages.sqlite3",
            user_budget_usd=5.0,
            rate_limit="60/minute",
        ),
        shared_state=MemoryState(),
    )


@pytest.fixture
def url(app):
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_administrator_does_their_work(app, url):
    run = app.test_cli_runner().invoke
    key = run(args=["keys", "create", "--name", "shop", "--tenant", "acme"]).stdout.strip()
    answer = app.test_client().post(
        "/api/chat", json={"message": "Hi"}, headers={"Authorization": f"Bearer {key}"}
    )
    assert answer.status_code == 200

    told = _work(app, url, key)

    assert told["faults"] == []
    seen = told["seen"]
    assert seen["cookie"] == {"httpOnly": True, "sameSite": "Strict"}
    assert seen["created"].startswith("gh_")
    assert not seen["isCut"]
    assert (seen["keyIsGone"], seen["refreshed"], seen["signedOut"]) == (True, True, True)
    assert (seen["invalid"], seen["done"]) == ("request_rate", "The limits are set.")
    assert "60/minute" in seen["fault"]
    assert "used before" in seen["usedLink"]
    assert seen["bars"] > 0
    assert (seen["free"], seen["width"] > 150) == (1, True)  # the offline model costs nothing; read on a phone
    assert (seen["ofKey"], seen["keyInPage"], seen["keySignedOut"]) == (f"of key:{key[3:11]}", False, 1)


@pytest.mark.skipif("PICTURES" not in os.environ, reason="`make pictures` draws them")
def test_pictures_are_drawn(app, url, pictures):
    random.seed(7)
    today = datetime.now(UTC).date()
    rows = [
        {
            "day": (today - timedelta(days=day)).isoformat(),
            "tenant": "shop" if user % 3 else "help-desk",
            "user_id": f"customer-{user}",
            "model": model,
            "route": "/api/chat/stream" if user % 2 else "/v1/chat/completions",
            "requests": (requests := random.randint(2, 60)),
            "prompt_tokens": (prompt := requests * random.randint(200, 900)),
            "cached_tokens": prompt // 3,
            "completion_tokens": (completion := requests * random.randint(80, 300)),
            "reasoning_tokens": completion // 4,
            "tokens": prompt + completion,
            "cost_micro_usd": prompt + 4 * completion,
        }
        for day in range(60)
        for user in range(6)
        for model in ("gpt-6.1-terra", "gpt-6-luna", "text-embedding-3-small")[user % 2 :]
    ]
    with app.extensions["gatehouse"].database.transaction(30.0) as connection:
        add_rows(connection, "daily_totals", rows)
    run = app.test_cli_runner().invoke
    run(
        args=[
            "limits",
            "set",
            "user",
            "customer-3",
            "--tenant",
            "shop",
            "--budget-usd",
            "20",
            "--requests",
            "120/minute",
        ]
    )
    run(args=["limits", "set", "tenant", "help-desk", "--budget-usd", "none"])
    key = run(args=["keys", "create", "--name", "shop", "--tenant", "shop"]).stdout.strip()

    assert _work(app, url, key, pictures)["faults"] == []


def _work(app, url, key, *pictures):
    """What went wrong, and what was seen, when an administrator did their work."""
    login_url = app.test_cli_runner().invoke(args=["admin", "login-url", "--url", url]).stdout.strip()
    done = subprocess.run(
        ["node", "admin_pages.mjs", login_url, key, *pictures],
        check=False,
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
