"""The trace of a run, as seen from both ends of the application; chaos/checks judges it."""

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

# How an exchange with a client ended.
WHOLE = "whole"  # the answer came to its end
BROKEN = "broken"  # the connection ended before the answer did
LEFT = "left"  # the client went away
HUNG = "hung"  # the client lost patience
UNUSED = "unused"  # an idle connection was already closed, or none could be opened: nothing was requested


@dataclass
class ClientRequest:
    """One request of a client, and its result. Times are those of time.monotonic().

    Attributes:
        expects: the one status and code that are right, for a request that never gets past the door.
        texts: how many texts are to be embedded.
        slow_s: for how long the client was too slow to be served faster.
        is_kept: it was sent on a connection that had carried another one.
    """

    id: str
    route: str
    expects: tuple[int, str] | None = None
    what: str = ""
    texts: int = 0
    is_kept: bool = False
    is_sent: bool = False
    sent_at: float = 0.0
    ended_at: float = 0.0
    slow_s: float = 0.0
    end: str = ""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def took_s(self) -> float:
        return self.ended_at - self.sent_at

    @property
    def is_stream(self) -> bool:
        return self.route.endswith("/stream")

    @property
    def is_text(self) -> bool:
        return self.route.endswith("/openai")

    def __str__(self) -> str:
        return f"{self.id} {self.route}{f' ({self.what})' if self.what else ''}"


@dataclass
class Attempt:
    """One request as it reached the upstream, and what the upstream did.

    Attributes:
        operation: chat, stream, structured or embeddings.
        number: of this attempt among those with the same request id, from 1.
        is_kept: it came on a connection that had carried another one.
        codes: what the application may tell its client if this attempt is all it has.
        is_verdict: the upstream has judged the request (or the key): asking again is no use.
        not_before: when the upstream asked to be asked again, at the earliest.
        may_retry: what the upstream said of that itself, by x-should-retry.
        streamed: the text that has gone out in pieces.
        whole: the text that a good answer has, once all of it and the reason of its end have gone out.
        vectors: the same for embeddings.
        cut_at: when the application closed the connection on the upstream in the midst of its answer.
        was_silent: whether nothing was being written just then.
    """

    id: str
    number: int
    operation: str
    model: str
    mode: str
    began_at: float
    is_kept: bool
    codes: frozenset[str] = frozenset()
    status: int = 0
    is_verdict: bool = False
    is_adaptation: bool = False
    not_before: float | None = None
    may_retry: bool | None = None
    streamed: str = ""
    whole: str | None = None
    vectors: list[Any] | None = None
    answered_at: float | None = None
    ended_at: float | None = None
    cut_at: float | None = None
    was_silent: bool = False

    @property
    def is_good(self) -> bool:
        return self.whole is not None or self.vectors is not None


@dataclass
class Vitals:
    """What one worker holds at one moment, without upstream connections."""

    pid: int
    files: int
    threads: int
    upstream: int
    pss_kib: int


class ProcessorWaits:
    """How long workers were ready to run while other programs had the processors, over the time of a run."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._sums: list[float] = []
        self._last: dict[int, float] = {}

    def note(self, at: float, waited_s: dict[int, float]) -> None:
        """Record how long each worker has waited since it started."""
        longest = max((waited - self._last.get(pid, 0.0) for pid, waited in waited_s.items()), default=0.0)
        self._last = waited_s
        self._times.append(at)
        self._sums.append((self._sums[-1] if self._sums else 0.0) + longest)

    def between(self, start: float, end: float) -> float:
        """Return the longest that one worker can have waited in this time, in seconds."""
        if not self._times:
            return 0.0
        first = max(0, bisect_left(self._times, start) - 1)
        last = min(len(self._times) - 1, bisect_left(self._times, end))
        return min(end - start, self._sums[last] - self._sums[first])


@dataclass
class Trace:
    """All that was recorded of a run."""

    client_requests: list[ClientRequest] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    by_id: dict[str, list[Attempt]] = field(default_factory=lambda: defaultdict(list))
    refused_at: list[float] = field(default_factory=list)
    """The times when connections were refused; their requests are unknown."""
    closed_at: list[float] = field(default_factory=list)
    """When the upstream ended a connection: a request that was sent on it just then was not read."""
    uninvited: list[str] = field(default_factory=list)
    """Requests at the upstream that no client had caused."""
    drains: list[tuple[float, float]] = field(default_factory=list)
    """From when to when workers were being replaced or stopped."""
    vitals_before: list[Vitals] = field(default_factory=list)
    vitals_after: list[Vitals] = field(default_factory=list)
    settled_s: float | None = None
    """How long after the last answer the workers held no more than at the start; None if they always held more."""
    open_after: int = 0
    """Requests that were still open at the upstream at that time."""
    leases_after: dict[str, int] = field(default_factory=dict)
    exit_status: int | None = None
    exit_s: float = 0.0
    slowest_turn_s: float = 0.0
    """The maximum delay of the tool's own event loop."""
    processor_waits: ProcessorWaits = field(default_factory=ProcessorWaits)

    def add(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        self.by_id[attempt.id].append(attempt)
