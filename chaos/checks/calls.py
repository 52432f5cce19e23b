"""One line in the log for each request that got past the door, and it says what happened."""

from collections.abc import Iterator

from chaos.book import BROKEN, HUNG, LEFT, WHOLE, Ask, Book
from chaos.checks.check import Check, of, story
from chaos.checks.reading import final_code
from chaos.log import Log
from chaos.settings import Settings

# Codes with which a request is turned away before there is a call; a line must then say no more than that.
_AT_THE_DOOR = {"concurrency_limit", "draining"}
# How a call is told of that ended in an error, by the code of the error; others say "rejected".
_OUTCOMES = {
    "upstream_failed": {"upstream_error", "upstream_truncated"},
    "upstream_truncated": {"upstream_truncated"},
    "upstream_rate_limited": {"upstream_error", "upstream_rate_limited", "rate_limited"},
    "upstream_timeout": {"upstream_timeout"},
    "circuit_open": {"upstream_error", "circuit_open"},
    "draining": {"interrupted", "draining"},
    "concurrency_limit": {"concurrency_limit"},
}
_FAILURES = set().union(*_OUTCOMES.values())


def checks(book: Book, log: Log, settings: Settings) -> list[Check]:
    lines = Check("one log line for each call, and none besides")
    outcomes = Check("the log's outcome is what the visitor saw")
    lines.faults += [
        f"a call line for the unknown {name!r}" for name in log.calls.keys() - {a.id for a in book.asks}
    ]
    called = judged = 0
    for ask in book.asks:
        found = log.calls.get(ask.id, [])
        called += len(found)
        expected = _how_many(book, ask)
        if len(found) not in expected:
            lines.faults.append(
                f"{ask} {_seen(ask)}: {len(found)} lines, {sorted(expected)} expected: {story(book, ask.id)}"
            )
        for line in found:
            judged += 1
            outcomes.faults += [
                f"{ask} {_seen(ask)}, but the log says {fault}: {story(book, ask.id)}"
                for fault in _faults(book, ask, line, settings)
            ]
    lines.figure = f"{called:,} lines"
    outcomes.figure = of(judged - len(outcomes.faults), judged)
    return [lines, outcomes]


def _how_many(book: Book, ask: Ask) -> set[int]:
    if book.by_id.get(ask.id):
        return {1}
    if ask.expects is not None:
        return {0}
    if ask.end in (LEFT, HUNG) and not ask.status:
        return {0, 1} if ask.is_sent else {0}
    if not ask.status:
        return {0}
    if ask.is_text and ask.status in (429, 503):
        return {0, 1}  # which of the codes it was, this route does not say
    return {0, 1} if final_code(ask) in _AT_THE_DOOR else {1}


def _faults(book: Book, ask: Ask, line: dict[str, str], settings: Settings) -> Iterator[str]:
    outcome = line.get("outcome", "")
    expected = _expected(book, ask, settings)
    if outcome not in expected:
        yield outcome
    told = ask.headers.get("x-attempts")
    if told is not None and ask.status == 200 and told != line.get("attempts"):
        yield f"{line.get('attempts')} attempts, where the answer said {told}"


def _expected(book: Book, ask: Ask, settings: Settings) -> set[str]:
    if ask.end == LEFT:
        return _after_leaving(book, ask, settings)
    if ask.end in (BROKEN, HUNG):
        return _FAILURES | {"rejected", "interrupted"}
    code = final_code(ask)
    if code is None and ask.status == 200:
        return {"complete"}
    if ask.is_text:
        return _FAILURES | {"rejected"}
    return _OUTCOMES.get(code or "", {"rejected"})


def _after_leaving(book: Book, ask: Ask, settings: Settings) -> set[str]:
    """Most that the log can say is true of one who left; only what was cut short for that must say so."""
    attempts = book.by_id.get(ask.id, [])
    last = attempts[-1] if attempts else None
    # Before any timeout can have passed, nothing else cuts off an upstream that is silent.
    is_for_that = (
        last is not None and last.cut_at is not None and last.was_silent and last.cut_at < last.began_at + 1.9
    )
    if settings.policy == "cancel" and is_for_that and ask.took_s < settings.request_timeout_s - 2.0:
        return {"client_gone"}
    return {"client_gone", "complete", "rejected", "interrupted"} | _FAILURES


def _seen(ask: Ask) -> str:
    if ask.end != WHOLE:
        return f"({ask.status or 'no answer'}, {ask.end})"
    return f"({ask.status} {final_code(ask) or 'whole'})"
