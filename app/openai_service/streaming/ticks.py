"""Ticks: work that comes back at each tick of waiting, so that whoever runs it can check on its client meanwhile."""

from __future__ import annotations

from collections.abc import Generator
from time import sleep
from typing import TypeVar

from app.openai_service.streaming.events import Events

T = TypeVar("T")

Ticks = Generator[Events, None, T]
"""Work that yields events as they arrive, and an empty list at each tick of waiting; it returns its result."""


def pause(seconds: float, *, tick_s: float) -> Ticks[None]:
    """Let time pass."""
    while seconds > 0:
        step_s = min(seconds, tick_s)
        sleep(step_s)
        seconds -= step_s
        yield []
