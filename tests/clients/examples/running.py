"""How the examples are run: each in a copy of its folder, beside the packages that are installed here."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fakes.servers import ROOT, is_listening, stop, wait_until

EXAMPLES = ROOT / "examples"
HERE = Path(__file__).parent
_RUNS = HERE / ".runs"  # below node_modules, as npm would install it there


@contextmanager
def copy_of(example: str) -> Iterator[Path]:
    """A copy of an example, in which it can be built."""
    _RUNS.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=_RUNS) as folder:
        source, copy = EXAMPLES / example, Path(folder, Path(example).name)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("node_modules", "dist", ".next"))
            yield copy
        else:
            shutil.copy(source, copy)
            yield copy.parent


@contextmanager
def serving(command: list[object], port: int, cwd: Path, **variables: str) -> Iterator[str]:
    """Run a server until the block ends; its URL."""
    with (cwd / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=cwd, env={**os.environ, **variables}, stdout=log, stderr=log)
    try:
        wait_until(
            lambda: process.poll() is not None or is_listening(("127.0.0.1", port)), "the example listens", 60
        )
        assert process.poll() is None, (cwd / "server.log").read_text(encoding="utf-8")
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)
