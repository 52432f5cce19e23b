"""Ask pip-audit for known holes in what requirements.txt pins, for `make audit`.

pip-audit itself ends with 0 where it could ask nobody: each package is then merely skipped. Here that is told apart.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PROGRAM = Path(sys.executable).parent / "pip-audit"
CLEAN, VULNERABLE, UNCHECKED = 0, 1, 2


def judge(answer: str, error: str, *, strict: bool = False) -> tuple[int, str]:
    """Return the exit status, and what to print, for what pip-audit wrote."""
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
        text = (
            f"NOT CHECKED: the data about {how_many} could not be had ({reason}). This says nothing about holes."
        )
        return (UNCHECKED if strict else CLEAN), text
    return CLEAN, f"No known holes in {len(packages)} packages."


def _describe(package: dict[str, Any]) -> str:
    return ", ".join(
        f"{hole['id']}, mended in {', '.join(hole.get('fix_versions') or ['no version'])}"
        for hole in package["vulns"]
    )


def main() -> int:
    """Ask, and tell. `--strict` makes a check that could not be made a failure."""
    options = ["--require-hashes", "--disable-pip", "--progress-spinner=off", "--format=json"]
    done = subprocess.run(
        [str(PROGRAM), *options, "--requirement", str(ROOT / "requirements.txt")],
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
