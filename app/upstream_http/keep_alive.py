"""How long an idle connection may be kept, by what the upstream says."""

from __future__ import annotations

import re

USUAL_IDLE_S = 4.0
"""How long a connection is kept that says nothing of it. Most servers close idle ones after 5 s or more, and a request
that meets the closing one is lost, and may be billed."""
_MAX_IDLE_S = 55.0
# How much sooner than the server a connection is closed whose `Keep-Alive: timeout=…` says when the server does.
_MARGIN_S = 1.0
_TIMEOUT = re.compile(rb"(?:^|[,;\s])timeout\s*=\s*\"?(\d{1,9})", re.IGNORECASE)


def read_idle_limit(header: bytes, otherwise_s: float) -> float:
    """Return how long a connection with this `Keep-Alive` may be idle, in seconds, if that is said."""
    timeout = _TIMEOUT.search(header)
    return otherwise_s if timeout is None else min(int(timeout[1]) - _MARGIN_S, _MAX_IDLE_S)
