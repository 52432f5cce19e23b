"""CallRunner: runs a call, and checks whether its client is still connected."""

from __future__ import annotations

import math
from typing import TypeVar

from app.openai_service.call_recording import CallRecording
from app.openai_service.errors import CallerGone
from app.openai_service.resilience.drain import DrainPool
from app.openai_service.streaming.ticks import Ticks
from app.openai_service.transport.request import PendingRequest

T = TypeVar("T")


class CallRunner:
    """Runs calls that are not streamed."""

    def __init__(self, drain_pool: DrainPool) -> None:
        self._drain_pool = drain_pool

    def run(self, ticks: Ticks[T], request: PendingRequest, recording: CallRecording) -> T:
        """Run a call to its end, and check at each tick whether its client is still connected.

        If the client disconnects, the drain pool reads the answer to its end to learn its cost, as it is billed anyway.
        """
        is_adopted = False
        try:
            while True:
                try:
                    next(ticks)
                except StopIteration as end:
                    answer: T = end.value
                    return answer
                try:
                    recording.record.caller.check()
                except CallerGone as gone:
                    recording.fail(gone)
                    request.call_state.abandon_after(math.inf)
                    is_adopted = recording.record.is_in_flight and self._adopt(ticks, recording)
                    raise
        finally:
            if not is_adopted:
                ticks.close()

    def _adopt(self, ticks: Ticks[T], recording: CallRecording) -> bool:
        """Have the drain pool read an answer to its end and finish the record. Return whether it accepted the answer."""

        def finish() -> None:
            ticks.close()
            recording.finish()

        return recording.hand_over(lambda: self._drain_pool.adopt(ticks, finish))
