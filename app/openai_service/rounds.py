"""Streams that are made of several answers: each is asked for when the one before it has been read."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from app.openai_service.asking import Asker, Question
from app.openai_service.events import Batch, Usage, tells_tokens
from app.openai_service.extraction import add_usage
from app.openai_service.reading import Batches, StreamedAnswer
from app.openai_service.results import CallRecord
from app.openai_service.waiting import Waiting


def part_answered(record: CallRecord, usage: Usage | None) -> None:
    """Note that one of several answers is whole; the record's usage is that of all so far."""
    record.usage = add_usage(record.usage, usage)
    record.may_be_billed = not tells_tokens(usage)


def begin(batches: Batches, record: CallRecord) -> Waiting[StreamedAnswer]:
    """Wait for the first of them that tells something. Raises what they do."""
    try:
        for batch in batches:
            if batch:
                return StreamedAnswer(record.model, batch, batches)
            yield
        raise AssertionError("the last batch has an event, or there is an error")
    except BaseException:
        batches.close()
        raise


def next_answer(asker: Asker, question: Question) -> Generator[Batch, None, StreamedAnswer]:
    """Ask; an empty batch for each tick until an answer has begun."""
    with closing(asker.stream(question)) as asking:
        while True:
            try:
                next(asking)
            except StopIteration as asked:
                answer: StreamedAnswer = asked.value
                question.record.model = answer.model or question.record.model
                return answer
            yield []
