"""Programs of tests, apart from the tests' own process: gevent changes the one that it is in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[2]
_TIMEOUT_S = 30
_fork, _waitpid = os.fork, os.waitpid  # gevent's own would start its loop here, before the fork


def run_each(imports: str, scripts: dict[str, str]) -> dict[str, tuple[int, str]]:
    """Run programs that begin with the same imports, and return the exit status and the errors of each, by its name.

    The imports are executed once, in a process of their own; then each program runs in a fork of it, one after the
    other, so that none meets what another has left. `(0, "")` is success.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.fakes.scripts"],
        cwd=ROOT,
        input=json.dumps([imports, scripts]),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S * len(scripts),
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return {name: (status, errors) for name, (status, errors) in json.loads(done.stdout).items()}


def _run(code: str, names: dict[str, object]) -> tuple[int, str]:
    """Run a program in a fork, which has these names already."""
    with tempfile.TemporaryFile() as errors:
        sys.stderr.flush()
        child = _fork()
        if child == 0:
            signal.alarm(_TIMEOUT_S)
            os.dup2(errors.fileno(), 2)
            status = 1
            try:
                exec(compile(code, "<script>", "exec"), names)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        _, status = _waitpid(child, 0)
        errors.seek(0)
        return os.waitstatus_to_exitcode(status), errors.read().decode()


def main() -> None:
    """Read the imports and the programs from the standard input, and write what became of each, both as JSON."""
    imports, scripts = json.load(sys.stdin)
    names: dict[str, object] = {"__name__": "__main__"}
    exec(compile(imports, "<imports>", "exec"), names)
    sys.stdout.write(json.dumps({name: _run(code, names) for name, code in scripts.items()}))


if __name__ == "__main__":
    main()
