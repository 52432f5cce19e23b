"""Nothing hung: every request was answered, or ended, within its deadline."""

from chaos.book import HUNG, LEFT, UNUSED, Book
from chaos.checks.check import Check, of, story
from chaos.log import Log
from chaos.settings import Settings

# Two for the last steps, one for a machine that is busy.
_BESIDES_S = 3.0
# How long a connection may wait for a worker to take it, while all of them are being replaced.
_QUEUED_S = 10.0


def checks(book: Book, _log: Log, settings: Settings) -> list[Check]:
    limit_s = settings.request_timeout_s + _BESIDES_S
    waited = [ask for ask in book.asks if ask.end not in (LEFT, UNUSED)]
    check = Check("nothing hung")
    queued = {ask.id: book.by_id[ask.id][0].began_at - ask.sent_at for ask in waited if book.by_id.get(ask.id)}
    worked = {ask.id: ask.took_s - ask.slow_s - queued.get(ask.id, 0.0) for ask in waited}
    check.figure = (
        f"longest {max(worked.values(), default=0.0):.2f} s, limit {limit_s:g} s; the upstream was first asked after"
        f" {max(queued.values(), default=0.0):.2f} s at the latest"
    )
    for ask in waited:
        if ask.end == HUNG or worked[ask.id] > limit_s or queued.get(ask.id, 0.0) > _QUEUED_S:
            check.faults.append(f"{ask} took {ask.took_s:.1f} s and {ask.end}: {story(book, ask.id)}")
    return [check, _heads(book)]


def _heads(book: Book) -> Check:
    """Whoever stayed had an answer, or was told that the server was going."""
    stayed = [ask for ask in book.asks if ask.end not in (LEFT, HUNG)]
    check = Check("who stayed was answered")
    unanswered = [ask for ask in stayed if not ask.status]
    for ask in unanswered:
        if ask.end != UNUSED:
            check.faults.append(f"{ask} got nothing at all: {story(book, ask.id)}")
        elif not ask.is_kept and not any(start <= ask.sent_at <= end + 0.2 for start, end in book.drains):
            check.faults.append(f"{ask} could not connect")
        elif book.by_id.get(ask.id):
            check.faults.append(f"{ask} was hung up on, although the model was asked: {story(book, ask.id)}")
    check.figure = f"{of(len(stayed) - len(unanswered), len(stayed))}; {len(unanswered)} met a closed connection"
    return check
