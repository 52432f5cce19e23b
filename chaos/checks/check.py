"""Check: the result of one check of a run."""

from dataclasses import dataclass, field

from chaos.trace import Trace


@dataclass
class Check:
    """One condition that must hold.

    Attributes:
        figure: what was measured, in words.
        faults: what speaks against it, one sentence each.
    """

    title: str
    figure: str = ""
    faults: list[str] = field(default_factory=list)

    @property
    def is_ok(self) -> bool:
        return not self.faults


def describe(trace: Trace, request_id: str) -> str:
    """Describe in a few words what the upstream did with a request."""
    attempts = trace.by_id.get(request_id, [])
    return " → ".join(f"{attempt.model}: {attempt.mode}" for attempt in attempts) or "no attempt"


def of(count: int, total: int) -> str:
    """Return a text for Check.figure."""
    return f"{count:,} of {total:,}"
