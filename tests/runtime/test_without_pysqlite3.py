"""Where pysqlite3 has no wheel, as on Linux arm64, all there is runs on the system's SQLite."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CODE = """
import sys
from pathlib import Path
sys.modules["pysqlite3"] = sys.modules["pysqlite3.dbapi2"] = None
import app
import app.services
from app.config import Config
from app.runtime import sqlite

app.services._ROOT = folder = Path(sys.argv[1])
site = app.create_app(Config(rate_limit="3/hour", user_budget_tokens=1_000_000, state_dir=str(folder)))
answers = [site.test_client().post("/api/chat", json={"message": "Hi"}) for _ in range(4)]
print(sqlite.dbapi.__name__, [answer.status_code for answer in answers])
"""


@pytest.mark.thorough  # that the other library is taken: tests/runtime/test_sqlite.py
def test_a_site_answers_and_keeps_its_limits(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CODE, str(tmp_path)],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stdout == "sqlite3.dbapi2 [200, 200, 200, 429]\n", done.stderr
