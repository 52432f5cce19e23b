"""This process's number, of which the kernel is not asked each time: a request needs it ten times over."""

from __future__ import annotations

import os

pid = os.getpid()
"""To be read as `process.pid`, since it is another one after a fork."""


def _renew() -> None:
    global pid  # noqa: PLW0603
    pid = os.getpid()


os.register_at_fork(after_in_child=_renew)
