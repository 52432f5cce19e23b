"""Find the version of the running code: the commit of the checkout, as servers are updated by `git pull`."""

from __future__ import annotations

import re
from pathlib import Path

UNKNOWN = "unknown"


def find_version(root: Path) -> str:
    """Return the first 12 digits of the commit; `unknown` without a checkout, as in a container image."""
    git = root / ".git"
    try:
        if git.is_file():  # of a worktree
            git = root / git.read_text("utf-8").removeprefix("gitdir:").strip()
        head = (git / "HEAD").read_text("utf-8").strip()
        commit = _read_ref(git, head.removeprefix("ref: ")) if head.startswith("ref: ") else head
    except (OSError, UnicodeDecodeError):
        return UNKNOWN
    return commit[:12] if re.fullmatch("[0-9a-f]{40,64}", commit) else UNKNOWN


def _read_ref(git: Path, name: str) -> str:
    common = git / "commondir"
    folder = git / common.read_text("utf-8").strip() if common.exists() else git
    if (folder / name).exists():
        return (folder / name).read_text("utf-8").strip()
    packed = (folder / "packed-refs").read_text("utf-8").splitlines()
    return next((line.split()[0] for line in packed if line.endswith(f" {name}")), "")
