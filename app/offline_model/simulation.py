"""Play what goes wrong, or slowly, with a model, so that a page can be built for it: see `STATES`.

What is to be played belongs to the request that is being answered, not to the body, which is OpenAI's.
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
"""What can be played, by name."""

REFUSAL = "I'm sorry, but I can't help with that."

_SILENCE_S = 5.0
_SLOW_TOKEN_S = 0.4

_state: ContextVar[str] = ContextVar("simulated_state", default="")


def play(state: str) -> None:
    """Set what the answers of this thread of execution play from now on; empty: nothing."""
    assert not state or state in STATES, state
    _state.set(state)


def plays(state: str) -> bool:
    """Return whether this is to be played now."""
    return _state.get() == state


def find_delay(token_delay_s: float) -> float:
    """Return the pause before each token."""
    return _SLOW_TOKEN_S if plays("slow") else token_delay_s


def wait_before_answer() -> None:
    """Be silent before a whole answer, if that is to be played."""
    if plays("silence"):
        time.sleep(_SILENCE_S)


def disturb(events: Iterator[bytes], count: int) -> Iterator[bytes]:
    """Break a stream of about so many events off in its middle, or make a pause there, if that is to be played."""
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
