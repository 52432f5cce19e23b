"""What a check is."""

from dataclasses import dataclass, field

from chaos.book import Book


@dataclass
class Check:
    """One thing that must be true.

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


def story(book: Book, request_id: str) -> str:
    """What the upstream did with a request, in a few words."""
    attempts = book.by_id.get(request_id, [])
    return " → ".join(f"{attempt.model}: {attempt.mode}" for attempt in attempts) or "no attempt"


def of(count: int, total: int) -> str:
    """For a figure."""
    return f"{count:,} of {total:,}"
