"""Deliveries: what is done about each webhook once, however often and to whichever worker it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.problems import Problem
from app.safety.signatures import TOLERANCE_S
from app.storage.shared_state import SharedState

# A worker that is killed amid a delivery has not done it: its sender may try again after this time.
_WORK_S = 120.0
# A copy is refused after TOLERANCE_S by its time, which may lie as far in the future.
_KEEP_S = 2.0 * TOLERANCE_S + 60.0
_BEGUN, _DONE = b"begun", b"done"


class DeliveryUnderWay(Problem):
    """`/webhooks/openai`: another worker is at work on the same webhook."""

    status = 503
    code = "delivery_under_way"
    sentence = "This webhook is being taken."
    retry_after_s = 5.0


class Deliveries:
    """Remembers the ids of webhooks, for all workers."""

    def __init__(self, state: SharedState) -> None:
        self._state = state

    @contextmanager
    def take(self, webhook_id: str) -> Iterator[bool]:
        """Enter with whether the webhook is new. It counts as taken unless the block fails.

        Raises:
            DeliveryUnderWay: another request is in this block for it.
        """
        found: bytes | None = None

        def begin(value: bytes | None) -> bytes:
            nonlocal found
            found = value
            return value or _BEGUN

        key = f"webhook:{webhook_id}"
        self._state.update(key, begin, ttl_s=_WORK_S)
        if found == _BEGUN:
            raise DeliveryUnderWay
        if found is not None:
            yield False
            return
        try:
            yield True
        except BaseException:
            self._state.update(key, lambda _: None, ttl_s=_WORK_S)
            raise
        self._state.update(key, lambda _: _DONE, ttl_s=_KEEP_S)
