"""Finding: what one check found, in a sentence, and what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["ok", "warning", "fault"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        check: what was looked at, in one or two words.
        state: a fault keeps the site from working; a warning may.
        sentence: what was found.
        hint: what to do, if anything.
    """

    check: str
    state: State
    sentence: str
    hint: str = ""

    def to_json(self) -> dict[str, str]:
        """Return it as --json prints it."""
        return asdict(self)


def ok(check: str, sentence: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(check, "ok", sentence)


def warning(check: str, sentence: str, hint: str) -> Finding:
    """Return a finding that may do harm."""
    return Finding(check, "warning", sentence, hint)


def fault(check: str, sentence: str, hint: str) -> Finding:
    """Return a finding that keeps the site from working, or makes it unsafe."""
    return Finding(check, "fault", sentence, hint)
