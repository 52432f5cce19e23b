"""What a start loads: each module costs every worker memory, and everybody's first answer time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
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
    "gzip",
    "jwt",
    "packaging.specifiers",
    "psycopg",
    "redis",
    "sqlalchemy",
    "statistics",
    "tiktoken",
}


def test_a_start_loads_nothing_that_most_sites_never_need(tmp_path: Path) -> None:
    code = f"""
import sys
from app import create_app
from app.config import Config
create_app(Config(openai_api_key="sk-x", data_dir={str(tmp_path)!r}, state_dir={str(tmp_path)!r}, database_url="sqlite:///{tmp_path}/x"))
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert not NOT_AT_START & set(done.stdout.split())


def test_wsgi_started_as_a_program_says_what_to_do_even_without_packages():
    command = [sys.executable, "-I", "-S", "wsgi.py"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)

    assert done.returncode == 1
    assert done.stderr.startswith("Start wsgi.py with gunicorn: `make run`")
    assert done.stderr.count("\n") == 1


SERVED = """
import sys
from urllib.parse import parse_qs, urlsplit
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
print(token.status_code, chat.status_code, signed_in.status_code, *(each.status_code for each in read))
print(*sys.modules)
"""


def test_a_worker_that_has_served_all_kinds_of_work_has_loaded_no_sqlalchemy(tmp_path: Path) -> None:
    code = SERVED.format(folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    statuses, modules = done.stdout.splitlines()[-2:]
    assert statuses == "201 200 303 200 200 200 200 200"
    assert not {"sqlalchemy", "alembic"} & set(modules.split())
