"""`make rolling` in a small form: two nodes behind Nginx begin anew one after the other, and nobody notices."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.fakes.servers import ROOT

pytestmark = pytest.mark.servers


@pytest.mark.parametrize("how", [[], ["--restart"]], ids=["reload", "restart"])
def test_nobody_notices_a_rolling_reload_or_restart(how: list[str]) -> None:
    if shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("nginx is not installed")
    command = [sys.executable, "-m", "chaos.rolling", "--streams", "20", "--seconds", "5", *how]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nobody noticed" in done.stdout
