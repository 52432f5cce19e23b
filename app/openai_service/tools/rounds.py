"""Streams that are made of several answers: each is asked for when the one before it has been read."""

from __future__ import annotations

from app.openai_service.results import CallRecord
from app.openai_service.streaming.reader import StreamedAnswer, first_events
from app.openai_service.streaming.ticks import Ticks
from app.openai_service.transport.request import PendingRequest
from app.openai_service.transport.sender import Sender


def begin(batches: Ticks[None], record: CallRecord) -> Ticks[StreamedAnswer]:
    """Wait for the first of them that tells something. Raises what they do."""
    first = yield from first_events(batches)
    return StreamedAnswer(record.model, first, batches)


def next_answer(asker: Sender, request: PendingRequest) -> Ticks[StreamedAnswer]:
    """Ask, and note which model answers."""
    answer = yield from asker.open_stream(request)
    request.record.model = answer.model or request.record.model
    return answer
