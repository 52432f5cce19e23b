"""What gunicorn.conf.py does so that a worker starts fast: its hooks, called as gunicorn calls them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
_CODE = """
import gc, json, subprocess, sys
from types import ModuleType, SimpleNamespace
sys.argv = ["gunicorn", "wsgi:app"]
from gunicorn.app.wsgiapp import WSGIApplication

cfg = WSGIApplication().cfg
arbiter = SimpleNamespace(cfg=cfg, pid=1, pidfile=None)
cfg.on_starting(arbiter)

def start_program(*command, **_):
    raise AssertionError(f"a worker starts {command}")

cfg.post_fork(arbiter, None)
subprocess.check_output = start_program
for name in ("app", "app.openai_service", "app.openai_service.transport"):  # without all else that these load
    sys.modules[name] = ModuleType(name)
    sys.modules[name].__path__ = [name.replace(".", "/")]
from app.openai_service.transport.sdk import openai
found = {"system": openai.OpenAI(api_key="sk-x").default_headers["X-Stainless-OS"], "while loading": gc.isenabled()}

services = SimpleNamespace(start=lambda: None, lifecycle=SimpleNamespace(watch=lambda *_, **__: None))
worker = SimpleNamespace(wsgi=SimpleNamespace(extensions={"gatehouse": services}), cfg=cfg, age=0, alive=True, note_refusal=None)
cfg.post_worker_init(worker)
found |= {"afterwards": gc.isenabled(), "frozen": gc.get_freeze_count() > 10_000}
print(json.dumps(found))
"""


def test_a_worker_collects_garbage_once_it_has_loaded_and_starts_no_program(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "STATE_DIR": str(tmp_path), "DATA_DIR": str(tmp_path), "PORT": "0"}
    done = subprocess.run(
        [sys.executable, "-c", _CODE], cwd=ROOT, env=env, check=True, capture_output=True, text=True, timeout=60
    )

    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("system") != "Unknown"
    assert found == {"while loading": False, "afterwards": True, "frozen": True}
