"""Finding: the result of one check, in a sentence, and what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["ok", "warning", "fault"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        check: the checked thing, in one or two words.
        state: with a fault the site does not work or is unsafe; a warning may cause that.
        sentence: the result.
        hint: what to do, if anything.
    """

    check: str
    state: State
    sentence: str
    hint: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the finding as --json prints it."""
        return asdict(self)


def ok(check: str, sentence: str) -> Finding:
    """Return a finding without a problem."""
    return Finding(check, "ok", sentence)


def warning(check: str, sentence: str, hint: str) -> Finding:
    """Return a finding that may cause problems."""
    return Finding(check, "warning", sentence, hint)


def fault(check: str, sentence: str, hint: str) -> Finding:
    """Return a finding with which the site does not work, or is unsafe."""
    return Finding(check, "fault", sentence, hint)
