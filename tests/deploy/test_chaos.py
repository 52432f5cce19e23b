"""`make chaos` for a few seconds: that the tool itself works, and that nothing goes wrong in so short a time."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.fakes.servers import ROOT

pytestmark = pytest.mark.servers


def test_a_few_seconds_of_chaos_leave_nothing_hung_leaked_or_miscounted() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "chaos", "--seconds", "3", "--seed", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "checks passed" in done.stdout
    assert "Traceback" not in done.stderr
