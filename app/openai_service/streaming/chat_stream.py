"""ChatStream: a streamed answer as the service hands it out, closed whatever happens."""

from __future__ import annotations

from collections.abc import Iterator

from app.openai_service.call_recording import CallRecording
from app.openai_service.errors import CallerGone
from app.openai_service.resilience.drain import DrainPool
from app.openai_service.results import CallRecord
from app.openai_service.streaming.events import Done, Events, Failed
from app.openai_service.streaming.reader import StreamedAnswer
from app.openai_service.streaming.ticks import Ticks
from app.upstream_http.call_state import CallState


class ChatStream:
    """Batches of events as they arrive; an empty one at each tick of waiting, and where nothing was to be told.

    The last event is Done or Failed. Always close() it.
    """

    def __init__(
        self,
        asking: Ticks[StreamedAnswer],
        call_state: CallState,
        recording: CallRecording,
        background: DrainPool | None,
    ) -> None:
        self._call_state = call_state
        self._recording = recording
        self._background = background
        self._has_begun = False
        self._batches = self._run(asking)

    @property
    def record(self) -> CallRecord:
        return self._recording.record

    def __iter__(self) -> Iterator[Events]:
        return self._batches

    def fail(self, error: Exception) -> None:
        """End the call for a reason that is not its own."""
        self._recording.fail(error)
        self.close()

    def close(self) -> None:
        """End the call, also at the upstream, wherever it is; or leave its rest to be read in the background."""
        if self._has_begun and not self._recording.is_decided and self._background is not None:
            self._recording.fail(CallerGone())
            self._call_state.abandon_after(self._background.MAX_DURATION_S)
            if self._background.adopt(self._batches, self._finish):
                return
        self._finish()

    def _finish(self) -> None:
        self._batches.close()
        self._recording.finish()  # for a stream that was never begun

    def _run(self, asking: Ticks[StreamedAnswer]) -> Ticks[None]:
        self._has_begun = True
        recording = self._recording
        rest: Ticks[None] | None = None
        with recording:
            try:
                answer = yield from asking
                rest = answer.rest
                recording.note_first_token(answer.model)
                if type(end := answer.first[-1]) is Done:
                    _end(answer.first, end, recording)
                yield answer.first
                for batch in rest:
                    if batch and type(batch[-1]) is Done:
                        _end(batch, batch[-1], recording)
                    yield batch
            except Exception as error:
                recording.fail(error)
                yield [Failed(error)]
            finally:
                if rest is not None:
                    rest.close()


def _end(batch: Events, end: Done, recording: CallRecording) -> None:
    """Complete the record before the end is told: whoever hears of it may leave."""
    batch[-1] = end._replace(trimmed=recording.record.trimmed)
    recording.complete(finish_reason=end.finish_reason)
