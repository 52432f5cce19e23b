from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from app.config import Config
from server.arbiter import loaded_settings

ROOT = Path(__file__).parents[3]


def test_what_is_kept_makes_the_same_settings_again(monkeypatch):
    monkeypatch.setattr(loaded_settings, "_loaded", None)
    monkeypatch.setattr(os, "environ", {"NO_PROXY": "of the environment"})
    config = Config(chat_model="of the file", allowed_origins=("https://a.example",))

    kept = loaded_settings.store(config, {"NO_PROXY": "x", "HTTPS_PROXY": "http://127.0.0.1:1"})
    kept.fill_environment()

    assert loaded_settings.find() is kept
    assert Config(**kept.values) == config
    assert os.environ == {"NO_PROXY": "of the environment", "HTTPS_PROXY": "http://127.0.0.1:1"}


def test_without_gunicorn_the_application_has_the_settings_of_the_file_and_libraries_their_variables(tmp_path):
    for name in ("wsgi.py", "app", "server", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    text = (
        "CHAT_MODEL=of-the-file\nDATA_DIR=here\nSTATE_DIR=here\nHTTPS_PROXY=http://127.0.0.1:${PORT_OF_PROXY:-9}\n"
    )
    (tmp_path / ".env").write_text(text)
    # All of the application but its settings is left out: to load it takes twenty times as long.
    code = f"""
import os, runpy, sys, types
package = types.ModuleType("app")
package.__path__ = ["app"]
package.create_app = lambda config: print(config.chat_model, os.environ["HTTPS_PROXY"])
sys.modules |= {{"app": package, "app.cli": types.SimpleNamespace(create_app_for_doctor=None)}}
sys.path.insert(0, {str(tmp_path)!r})
runpy.run_path({str(tmp_path / "wsgi.py")!r})
"""
    env = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=tmp_path, env=env, capture_output=True, text=True
    )

    assert done.stderr == ""
    assert done.stdout.split() == ["of-the-file", "http://127.0.0.1:9"]
