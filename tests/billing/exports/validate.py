"""Have the FinOps Foundation's focus-validator look at the export, as `make focus` does.

The packages that it needs are none that the server runs on, and it needs Python 3.12: it gets an environment of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.smoke.pythons import ENVIRONMENTS, ROOT, find_pythons, install, say

_MINOR = 12  # NumPy 1.26, which it asks for, is not built for later ones


def main() -> int:
    """Install it and run its test; 0 as well if there is no such Python, which is said."""
    python = next((each for each in find_pythons() if each.minor == _MINOR), None)
    if python is None:
        say(f"there is no Python 3.{_MINOR} on this machine: the export is not validated")
        return 0
    environment = ENVIRONMENTS / "focus"
    install(python, environment, ["tests/billing/exports/requirements.txt"])
    found = {"FOCUS_VALIDATOR": str(environment / "bin" / "focus-validator")}
    command = [sys.executable, "-m", "pytest", "-q", "tests/billing/exports"]
    return subprocess.run(command, cwd=ROOT, env=os.environ | found, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
