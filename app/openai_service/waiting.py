"""Waiting: work that comes back at each tick, so that whoever waits can look after its visitor meanwhile."""

from __future__ import annotations

from collections.abc import Generator
from time import sleep
from typing import TypeVar

T = TypeVar("T")

Waiting = Generator[None, None, T]
"""Work that yields at each tick of waiting, and returns what it waited for."""


def pause(seconds: float, *, tick_s: float) -> Waiting[None]:
    """Let time pass."""
    while seconds > 0:
        step_s = min(seconds, tick_s)
        sleep(step_s)
        seconds -= step_s
        yield
