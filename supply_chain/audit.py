"""Check the server's pinned packages for known vulnerabilities with pip-audit, for `make audit`.

If its database is unavailable, pip-audit skips each package and exits with status 0. Here, that is reported.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PROGRAM = Path(sys.executable).parent / "pip-audit"
PIN_FILES = ("requirements.txt", "requirements-otel.txt")
CLEAN, VULNERABLE, UNCHECKED = 0, 1, 2


def judge(answer: str, error: str, *, strict: bool = False) -> tuple[int, str]:
    """Return the exit status and the text to print for the output of pip-audit."""
    try:
        packages: list[dict[str, Any]] = json.loads(answer)["dependencies"]
    except (ValueError, KeyError):
        packages = []
    found = [f"{each['name']} {each['version']}: {_describe(each)}" for each in packages if each.get("vulns")]
    if found:
        return VULNERABLE, "\n".join(found)
    skipped = [each["name"] for each in packages if "skip_reason" in each]
    if not packages or skipped:
        how_many = f"{len(skipped)} of {len(packages)} packages" if packages else "any package"
        reason = (
            (error.strip().splitlines() or ["no answer"])[-1] if not packages else packages[0].get("skip_reason")
        )
        text = f"NOT CHECKED: the data about {how_many} is unavailable ({reason}). There may be vulnerabilities."
        return (UNCHECKED if strict else CLEAN), text
    return CLEAN, f"No known vulnerabilities in {len(packages)} packages."


def _describe(package: dict[str, Any]) -> str:
    return ", ".join(
        f"{each['id']}, fixed in {', '.join(each.get('fix_versions') or ['no version'])}"
        for each in package["vulns"]
    )


def main() -> int:
    """Run pip-audit and print its result. With `--strict`, an incomplete check is a failure."""
    options = ["--require-hashes", "--disable-pip", "--progress-spinner=off", "--format=json"]
    done = subprocess.run(
        [str(PROGRAM), *options, *(f"--requirement={ROOT / name}" for name in PIN_FILES)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    status, text = judge(done.stdout, done.stderr, strict="--strict" in sys.argv[1:])
    print(text)
    return status


if __name__ == "__main__":
    sys.exit(main())
