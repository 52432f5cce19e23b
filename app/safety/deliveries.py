"""Ensure that each webhook is processed once, even if it is sent several times or to several workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.problems import Problem
from app.safety.signatures import TOLERANCE_S
from app.storage.shared_state import SharedState

# If a worker is killed while it processes a webhook, the sender may try again after this time.
_WORK_S = 120.0
# The signature of a copy expires after TOLERANCE_S, counted from its timestamp, which may be TOLERANCE_S in the
# future.
_KEEP_S = 2.0 * TOLERANCE_S + 60.0
_BEGUN, _DONE = b"begun", b"done"


class DeliveryUnderWay(Problem):
    """`/webhooks/openai`: another request is processing the same webhook."""

    status = 503
    code = "delivery_under_way"
    sentence = "This webhook is already being processed."
    retry_after_s = 5.0


class Deliveries:
    """Stores the ids of processed webhooks, for all workers."""

    def __init__(self, state: SharedState) -> None:
        self._state = state

    @contextmanager
    def claim(self, webhook_id: str) -> Iterator[bool]:
        """Enter a block that processes a webhook, with whether it is new.

        The webhook counts as processed unless the block fails.

        Raises:
            DeliveryUnderWay: another request is processing it.
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
