"""When a visitor leaves, so does the application at the upstream; or it reads on, if that is the policy."""

from chaos.book import LEFT, Ask, Attempt, Book
from chaos.checks.check import Check, story
from chaos.log import Log
from chaos.settings import TICK_S, Settings

# A tick to notice, as much again to be told of, and a little for a busy machine.
_LIMIT_S = 1.0 + TICK_S + 0.5


def checks(book: Book, _log: Log, settings: Settings) -> list[Check]:
    left = [ask for ask in book.asks if ask.end == LEFT and ask.is_sent]
    if settings.policy == "drain":
        return [_read_on(book, left)]
    streams = [ask for ask in left if ask.is_stream or ask.is_text]
    plain = [ask for ask in left if ask not in streams]
    return [
        _let_go(book, streams, "streams of those who left end upstream"),
        _let_go(book, plain, "so do their plain requests"),
    ]


def _let_go(book: Book, left: list[Ask], title: str) -> Check:
    check = Check(title)
    delays = []
    for ask in left:
        attempts = book.by_id.get(ask.id, [])
        # Some leave before anybody has looked at their request.
        since = max(ask.ended_at, attempts[0].began_at) if attempts else ask.ended_at
        for attempt in attempts:
            if attempt.began_at > since + _LIMIT_S:
                check.faults.append(f"{ask}: tried again after its visitor had left: {story(book, ask.id)}")
            elif _is_open_at(attempt, since):
                delay_s = _end_of(attempt) - since
                if attempt.cut_at is not None:
                    delays.append(delay_s)
                if delay_s > _LIMIT_S:
                    check.faults.append(f"{ask}: left {delay_s:.1f} s before {story(book, ask.id)} was ended")
    delays.sort()
    check.figure = f"{len(delays)} were cut off"
    if delays:
        check.figure += f" after p50 {delays[len(delays) // 2]:.2f} s, max {delays[-1]:.2f} s"
    return check


def _read_on(book: Book, left: list[Ask]) -> Check:
    check = Check("answers are read on when their visitor leaves")
    read = 0
    for ask in left:
        for attempt in book.by_id.get(ask.id, []):
            if _is_open_at(attempt, ask.ended_at):
                read += attempt.cut_at is None
                # What fails by being endless may be cut off, by the limits that hold for everybody.
                if attempt.cut_at is not None and not attempt.codes:
                    check.faults.append(f"{ask}: {attempt.mode!r} was cut off: {story(book, ask.id)}")
    check.figure = f"{read} read to their end"
    return check


def _is_open_at(attempt: Attempt, moment: float) -> bool:
    return attempt.began_at <= moment < _end_of(attempt)


def _end_of(attempt: Attempt) -> float:
    return attempt.cut_at or attempt.ended_at or float("inf")
