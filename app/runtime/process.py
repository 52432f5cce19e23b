"""Cache the process id: a request needs it about ten times, and os.getpid() is a system call."""

from __future__ import annotations

import os

pid = os.getpid()
"""Read it as `process.pid`, as it changes after a fork."""


def _renew() -> None:
    global pid  # noqa: PLW0603
    pid = os.getpid()


os.register_at_fork(after_in_child=_renew)
