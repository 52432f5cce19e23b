"""ChatStream: the streamed answer that the service returns. It records the call and closes the upstream request."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from app.openai_service.call_recording import CallRecording
from app.openai_service.chat.shown_usage import show_usage
from app.openai_service.errors import CallerGone
from app.openai_service.resilience.drain import DrainPool
from app.openai_service.results import CallRecord
from app.openai_service.streaming.events import Done, Events, Failed
from app.openai_service.streaming.passing import TokenWriter
from app.openai_service.streaming.reader import StreamedAnswer
from app.openai_service.streaming.ticks import Ticks
from app.upstream_http.call_state import CallState
from app.upstream_http.relaying import Relaying


class ChatStream:
    """Lists of events as they arrive; an empty list at each tick, and for chunks without events.

    The last event is Done or Failed. Always close() it.
    """

    def __init__(
        self,
        opening: Ticks[StreamedAnswer],
        call_state: CallState,
        recording: CallRecording,
        drain_pool: DrainPool | None,
    ) -> None:
        self._call_state = call_state
        self._recording = recording
        self._drain_pool = drain_pool
        self._has_begun = False
        self._answer: StreamedAnswer | None = None
        self._token_writer: TokenWriter | None = None
        self._stream = self._run(opening)

    @property
    def record(self) -> CallRecord:
        """The record of the call, complete once the stream has ended."""
        return self._recording.record

    def __iter__(self) -> Iterator[Events]:
        return self._stream

    def relay_tokens(self, token_writer: TokenWriter) -> None:
        """Write tokens to the client as they arrive, instead of yielding them, while the caller waits for the stream.

        The server's event loop calls the writer, so it must not block.
        """
        self._token_writer = token_writer
        self._start_relaying()

    def stop_relaying(self) -> None:
        """Yield all events again."""
        self._call_state.relaying = self._token_writer = None

    def _start_relaying(self) -> None:
        if self._token_writer is not None and self._answer is not None and self._answer.token_relay is not None:
            begin = partial(self._answer.token_relay.begin, self._token_writer)
            self._call_state.relaying = Relaying(self._token_writer.relay, begin)

    def fail(self, error: Exception) -> None:
        """Record an error that happened outside of the call, and close the stream."""
        self._recording.fail(error)
        self.close()

    def close(self) -> None:
        """End the call and its upstream request, or let the drain pool read the rest of an unfinished answer."""
        self.stop_relaying()
        if self._has_begun and not self._recording.is_decided and self._drain_pool is not None:
            self._recording.fail(CallerGone())
            self._call_state.abandon_after(self._drain_pool.MAX_DURATION_S)
            if self._drain_pool.adopt(self._stream, self._finish):
                return
        self._finish()

    def _finish(self) -> None:
        self._stream.close()
        self._recording.finish()  # _run() does this as well, but not if the stream was never iterated

    def _run(self, opening: Ticks[StreamedAnswer]) -> Ticks[None]:
        self._has_begun = True
        recording = self._recording
        rest: Ticks[None] | None = None
        with recording:
            try:
                answer = yield from opening
                self._answer, rest = answer, answer.rest
                self._start_relaying()
                recording.note_first_token(answer.model)
                if type(done := answer.first[-1]) is Done:
                    _complete(answer.first, done, recording)
                yield answer.first
                for events in rest:
                    if events and type(events[-1]) is Done:
                        _complete(events, events[-1], recording)
                    yield events
            except Exception as error:
                recording.fail(error)
                yield [Failed(error)]
            finally:
                if rest is not None:
                    rest.close()


def _complete(events: Events, done: Done, recording: CallRecording) -> None:
    """Complete the record before Done is sent, since the client may disconnect as soon as it has it."""
    record = recording.record
    events[-1] = done._replace(trimmed=record.trimmed, usage=show_usage(done.usage, record))
    recording.complete(finish_reason=done.finish_reason)
