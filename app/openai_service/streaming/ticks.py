"""Ticks: generators that return control at each tick of waiting, so that their caller can check its client."""

from __future__ import annotations

from collections.abc import Generator
from time import sleep
from typing import TypeVar

from app.openai_service.streaming.events import Events

T = TypeVar("T")

Ticks = Generator[Events, None, T]
"""A generator that yields events as they arrive, an empty list at each tick, and returns its result."""


def pause(seconds: float, *, tick_s: float) -> Ticks[None]:
    """Sleep, yielding at each tick."""
    while seconds > 0:
        step_s = min(seconds, tick_s)
        sleep(step_s)
        seconds -= step_s
        yield []
