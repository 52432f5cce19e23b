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
    "cryptography",
    "genai_prices",
    "jwt",
    "packaging.specifiers",
    "psycopg",
    "redis",
    "sqlalchemy",
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
    assert done.stderr.startswith("wsgi.py is started by gunicorn: `make run`")
    assert done.stderr.count("\n") == 1
