"""Mode: one way in which the upstream answers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from chaos.call import Call

ANY = frozenset({"chat", "stream", "structured", "embeddings"})
STREAM = frozenset({"stream"})
CHATS = frozenset({"chat", "stream"})
EMBEDDINGS = frozenset({"embeddings"})
STRUCTURED = frozenset({"structured"})
TEXT = ANY - EMBEDDINGS


@dataclass(frozen=True)
class Mode:
    """One way to answer.

    Attributes:
        on: the operations that can be answered so.
        codes: what a client may be told because of it; none where the answer is good.
        needs: a parameter without which it makes no sense.
    """

    name: str
    play: Callable[[Call], Awaitable[None]]
    on: frozenset[str] = ANY
    codes: frozenset[str] = frozenset()
    weight: float = 1.0
    needs: str = ""

    @property
    def fails(self) -> bool:
        """Whether the attempt must fail."""
        return bool(self.codes) or bool(self.needs)

    def fits(self, operation: str, params: dict[str, Any]) -> bool:
        """Whether a request can be answered in this mode."""
        return operation in self.on and (not self.needs or self.needs in params)


def codes(*names: str) -> frozenset[str]:
    """Return codes for Mode.codes."""
    return frozenset(names)


FAILED = codes("upstream_failed")
BROKEN_OFF = codes("upstream_failed", "upstream_truncated")
TIMEOUT = codes("upstream_timeout")
