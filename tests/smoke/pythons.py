"""Run the tests that matter with each further Python on this machine, as `make pythons` does.

Each gets a virtual environment with the pinned packages, in .venv-pythons/, which the next run uses again.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / ".venv-pythons"
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt")
FIRST = 12  # 3.11 has the whole suite
TESTS = (
    "tests/smoke",
    "tests/server/arbiter/test_gunicorn.py",
    "tests/billing/ledger/test_ledger_entries.py",
    "tests/web/routes/test_chat.py",
    "tests/web/routes/test_chat_stream.py",
    "tests/web/routes/test_vision.py",
    "tests/web/routes/test_structured.py",
)
KINDS = "not neighbours and not clients"  # with what `make test` leaves to `make servers` and `make thorough`
_PROBE = "import sys; print(sys.version_info[1], sys.version_info.releaselevel, sys.version.split()[0])"


@dataclass(frozen=True)
class Python:
    """A Python that runs."""

    path: Path
    minor: int
    version: str


def main() -> int:
    """Try each Python and say what became of it; 1 if one failed."""
    results = []
    for python in find_pythons():
        say(f"Python {python.version} at {python.path}")
        results.append((python, _result_of(python)))
    for python, result in results:
        say(f"Python {python.version}: {result}")
    if not results:
        say(f"there is no Python 3.{FIRST} or newer on this machine besides")
    return int(any(result != "passed" for _, result in results))


def find_pythons() -> list[Python]:
    """The first one of each minor version that runs; what is left out is named."""
    found: dict[int, Python] = {}
    for path in _candidates():
        try:
            answer = subprocess.run(
                [path, "-c", _PROBE], capture_output=True, text=True, timeout=60, check=True
            ).stdout.split()
        except (OSError, subprocess.SubprocessError):
            say(f"{path} does not run: left out")
            continue
        minor, level, version = int(answer[0]), answer[1], answer[2]
        if level != "final":
            say(f"Python {version} at {path} is not released yet: left out")
        elif minor not in found:
            found[minor] = Python(path, minor, version)
    return [found[minor] for minor in sorted(found)]


def _candidates() -> Iterator[Path]:
    """Each `python3.x` in PATH and in pyenv, whose shims run only the versions that are switched on."""
    folders = [Path(folder) for folder in os.get_exec_path() if folder]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    seen: set[Path] = set()
    for folder in [*folders, *sorted((pyenv / "versions").glob("*/bin"))]:
        for path in sorted(folder.glob("python3.*")):
            matched = re.fullmatch(r"python3\.(\d+)", path.name)
            if matched and int(matched[1]) >= FIRST and os.access(path, os.X_OK) and path.resolve() not in seen:
                seen.add(path.resolve())
                yield path


def _result_of(python: Python) -> str:
    environment = ENVIRONMENTS / f"3.{python.minor}"
    try:
        install(python, environment, REQUIREMENTS)
        subprocess.run(
            [environment / "bin" / "python", "-m", "pytest", "-n", "2", "--dist", "loadfile", "-m", KINDS, *TESTS],
            cwd=ROOT,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        return f"FAILED: {' '.join(map(str, error.cmd[1:4]))} … ended with {error.returncode}"
    return "passed"


def install(python: Python, environment: Path, requirements: Sequence[str]) -> None:
    """Make the virtual environment, unless it has this Python and these packages already."""
    files = [ROOT / name for name in requirements]
    wanted = hashlib.sha256(
        b"".join([python.version.encode(), *(file.read_bytes() for file in files)])
    ).hexdigest()
    stamp = environment / "installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    subprocess.run([python.path, "-m", "venv", "--clear", environment], check=True)
    pip = [environment / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
    for file in files:
        subprocess.run([*pip, "install", "--quiet", "--require-hashes", "-r", file], check=True)
    stamp.write_text(wanted)


def say(text: str) -> None:
    print(f"==> {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
