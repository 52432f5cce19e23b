"""The pages of administration and of usage in Chromium: with and without scripts, small and large, light and dark."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from app import create_app
from app.config import Config
from app.shared_state import MemoryState

HERE = Path(__file__).parent

pytestmark = pytest.mark.clients


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
    login_url = run(args=["admin", "login-url", "--url", url]).stdout.strip()

    done = subprocess.run(
        ["node", "admin_pages.mjs", login_url, key],
        check=False,
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["faults"] == []
    seen = told["seen"]
    assert seen["cookie"] == {"httpOnly": True, "sameSite": "Strict"}
    assert seen["created"].startswith("gh_")
    assert (seen["keyIsGone"], seen["refreshed"], seen["signedOut"]) == (True, True, True)
    assert (seen["invalid"], seen["done"]) == ("request_rate", "The limits are set.")
    assert "60/minute" in seen["fault"]
    assert "used before" in seen["usedLink"]
    assert seen["bars"] > 0
    assert (seen["ofKey"], seen["keyInPage"], seen["keySignedOut"]) == (f"of key:{key[3:11]}", False, 1)
