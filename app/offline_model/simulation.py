"""Simulate failures and delays of a model, with which a page can be tested: see `STATES`.

The state is set for the request that is being answered. It is not in the body, whose form is OpenAI's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextvars import ContextVar

STATES = {
    "refusal": "the model refuses to answer",
    "content-filter": "a content filter ends the answer in the middle",
    "cut": "a stream breaks off in the middle",
    "silence": "nothing comes for five seconds, in the middle of a stream or before a whole answer",
    "slow": "the tokens of a stream come slowly",
}
"""The states that can be simulated, by name."""

REFUSAL = "I'm sorry, but I can't help with that."

_SILENCE_S = 5.0
_SLOW_TOKEN_S = 0.4

_state: ContextVar[str] = ContextVar("simulated_state", default="")


def play(state: str) -> None:
    """Set the state that further answers of this thread or greenlet simulate; empty: none."""
    assert not state or state in STATES, state
    _state.set(state)


def plays(state: str) -> bool:
    """Return whether this state is simulated now."""
    return _state.get() == state


def find_delay(token_delay_s: float) -> float:
    """Return the pause before each token."""
    return _SLOW_TOKEN_S if plays("slow") else token_delay_s


def wait_before_answer() -> None:
    """Pause before a complete answer, if silence is simulated."""
    if plays("silence"):
        time.sleep(_SILENCE_S)


def disturb(events: Iterator[bytes], count: int) -> Iterator[bytes]:
    """Break off a stream of about `count` events in its middle, or pause there, if that is simulated."""
    if plays("cut") or plays("silence"):
        return _disturb(events, max(2, count // 2), is_cut=plays("cut"))
    return events


def _disturb(events: Iterator[bytes], at: int, *, is_cut: bool) -> Iterator[bytes]:
    for number, event in enumerate(events):
        if number == at:
            if is_cut:
                return
            time.sleep(_SILENCE_S)
        yield event
