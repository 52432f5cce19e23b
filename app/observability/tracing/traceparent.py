"""Parse the header traceparent of W3C Trace Context: the trace that a request belongs to."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Later versions may have further fields. Version ff is invalid.
_read = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})(?P<span>[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-[!-~]{0,200})?"
).fullmatch
_SAMPLED = 1


@dataclass(frozen=True, slots=True)
class Traceparent:
    """The trace and the parent span of a request.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits, of the caller's span.
        is_sampled: whether the caller records the trace.
    """

    trace_id: str
    span_id: str
    is_sampled: bool

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{int(self.is_sampled):02x}"


def parse_traceparent(text: str | None) -> Traceparent | None:
    """Parse a header; return None if it is missing or not valid."""
    found = _read(text) if text else None
    if found is None or (found["version"] == "00" and found["more"]):
        return None
    return Traceparent(found["trace"], found["span"], bool(int(found["flags"], 16) & _SAMPLED))
