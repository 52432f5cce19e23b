"""What a start loads: each module costs every worker memory, and everybody's first answer time."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.fakes.servers import ROOT, environment

# What a site on SQLite loads with the first request that needs it, if there ever is one.
NOT_AT_START = {
    "PIL",
    "alembic",
    "app.cli.commands",
    "app.cli.doctor",
    "app.cli.doctor.examine",
    "app.offline_model",
    "app.openai_service.transport.refusals",
    "app.web.openapi.operations",
    "app.web.openapi.reading",
    "cryptography",
    "genai_prices",
    "google.protobuf",
    "gzip",
    "jwt",
    "opentelemetry",
    "packaging.specifiers",
    "psycopg",
    "redis",
    "sqlalchemy",
    "statistics",
    "tiktoken",
}


def test_wsgi_started_as_a_program_says_what_to_do_even_without_packages():
    command = [sys.executable, "-I", "-S", "wsgi.py"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)

    assert done.returncode == 1
    assert done.stderr.startswith("Start wsgi.py with gunicorn: `make run`")
    assert done.stderr.count("\n") == 1


# First a start as by gunicorn, then one with more settings, and a request of each kind. Of each it prints what is loaded
# by then, and between them how the requests were answered.
PROGRAM = """
import sys
from urllib.parse import parse_qs, urlsplit
import wsgi
print("modules", *sys.modules)

from app import create_app
from app.config import Config

app = create_app(Config(
    data_dir={folder!r}, state_dir={folder!r}, database_url="sqlite:///{folder}/x", secret_key="s" * 40,
    user_budget_usd=10.0, usage_webhook_url="http://127.0.0.1:9/usage", usage_webhook_secret="whsec_" + "a" * 32,
    metrics_allow=("127.0.0.1",),
))
services = app.extensions["gatehouse"]
services.start()
client, browser = app.test_client(), app.test_client()
key = services.authenticator.keys.create(tenant="acme", name="n", scopes=["chat", "usage", "admin"]).text
headers = {{"Authorization": f"Bearer {{key}}"}}
token = client.post("/api/tokens", json={{"userId": "anna", "ttlS": 600, "scopes": ["chat"]}}, headers=headers)
chat = client.post("/api/chat", json={{"message": "Hi"}}, headers={{"Authorization": "Bearer " + token.json["token"]}})
shown = app.test_cli_runner().invoke(args=["admin", "login-url", "--url", "http://localhost", "--name", "grace"])
link = parse_qs(urlsplit(shown.stdout.strip()).query)["link"][0]
signed_in = browser.post("/admin/sign-in", data={{"link": link}}, headers={{"Origin": "http://localhost"}})
read = [client.get(path, headers=headers) for path in ("/api/usage", "/api/limits", "/metrics")]
read += [browser.get("/admin/board"), browser.get("/admin/audit")]
services.ledger.retry()
services.ledger.sweep()
services.ledger.roll_up()
services.close()
print("statuses", token.status_code, chat.status_code, signed_in.status_code, *(each.status_code for each in read))
print("modules", *sys.modules)
"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """The words of the three lines."""
    folder = str(tmp_path_factory.mktemp("data"))
    settings = {"DATA_DIR": folder, "STATE_DIR": folder, "DATABASE_URL": f"sqlite:///{folder}/w"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(folder=folder)],
        cwd=ROOT,
        env=environment(OPENAI_API_KEY="sk-x", **settings),
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines() if line.startswith(("modules ", "statuses "))]


def test_a_start_loads_nothing_that_most_sites_never_need(printed: list[list[str]]) -> None:
    modules, *_ = printed
    assert {"wsgi", "app"} <= set(modules)
    assert not NOT_AT_START & set(modules)


def test_a_worker_that_has_served_all_kinds_of_work_has_loaded_no_sqlalchemy(printed: list[list[str]]) -> None:
    _, statuses, modules = printed
    assert statuses[1:] == ["201", "200", "303", "200", "200", "200", "200", "200"]
    assert "app" in modules
    assert not {"sqlalchemy", "alembic"} & set(modules)
