"""Check that every stream ends properly, and contains all that the upstream had written by then."""

from chaos.checks.check import Check, describe
from chaos.checks.reading import events_of
from chaos.log import Log
from chaos.settings import Settings
from chaos.trace import BROKEN, LEFT, WHOLE, Attempt, ClientRequest, Trace


def checks(trace: Trace, _log: Log, _settings: Settings) -> list[Check]:
    ends = Check("every stream ends in one done or one error")
    texts = Check("streams hold what the upstream wrote, to the letter")
    done = failed = 0
    for request in trace.client_requests:
        if request.status != 200 or request.end not in (WHOLE, BROKEN, LEFT):
            continue
        if request.is_text:
            text, outcome = request.body.decode(errors="replace"), request.end
        elif request.is_stream:
            try:
                text, outcome = _read(request)
            except (ValueError, KeyError, TypeError) as fault:
                if request.end != LEFT:
                    ends.faults.append(f"{request} {request.end}: {fault}: {describe(trace, request.id)}")
                continue
        else:
            continue
        done += outcome == WHOLE
        failed += outcome == BROKEN
        fault = _text_fault(trace, request, text, outcome)
        if fault:
            texts.faults.append(f"{request} {fault}: {describe(trace, request.id)}")
    ends.figure = f"{done:,} done, {failed:,} failed halfway"
    texts.figure = f"{done + failed:,} streams"
    return [ends, texts]


def _read(request: ClientRequest) -> tuple[str, str]:
    """The text of a stream, and how it ended: WHOLE, BROKEN, or LEFT."""
    if request.end == LEFT:
        kept = request.body.rpartition(b"\n\n")[0]
        request = ClientRequest(request.id, request.route, body=kept + b"\n\n" if kept else b"")
        events = events_of(request)
        return "".join(event.get("token", "") for event in events), LEFT
    events = events_of(request)
    if request.end == BROKEN:
        raise ValueError("the connection broke")
    *tokens, last = events or [None]
    others = [event for event in tokens if event.keys() - {"p"} != {"token"}]  # "p" is padding
    if others:
        raise ValueError(f"{others[:2]} before the last event")
    text = "".join(event["token"] for event in tokens)
    if last is not None and last.get("done") is True:
        return text, WHOLE
    if last is not None and set(last) == {"error", "code", "requestId"}:
        return text, BROKEN
    raise ValueError(f"its last event is {last}")


def _text_fault(trace: Trace, request: ClientRequest, text: str, outcome: str) -> str | None:
    attempts = trace.by_id.get(request.id, [])
    if not text:
        return "is done, without a text" if outcome == WHOLE else None
    attempt = next((each for each in attempts if text.startswith(_mark(each))), None)
    if attempt is None:
        is_begun = outcome != WHOLE and any(_mark(each).startswith(text) for each in attempts)
        return None if is_begun else f"holds a text of nobody's: {text[:40]!r}"
    if outcome == WHOLE:
        if attempt.whole is None:
            return "is done, though the upstream never said so"
        return None if text == attempt.whole else f"has {len(text)} of {len(attempt.whole)} letters, or others"
    if outcome == LEFT:
        sent = attempt.streamed or attempt.whole or ""
        return None if sent.startswith(text) else "holds what the upstream did not write"
    if attempt is not attempts[-1]:
        return "was followed by another attempt"
    # Where a timeout cut the upstream off while it wrote, the last of that need not have been read.
    was_writing = attempt.is_good or (attempt.cut_at is not None and not attempt.was_silent)
    if text != attempt.streamed and not (was_writing and attempt.streamed.startswith(text)):
        return f"failed with {len(text)} of the {len(attempt.streamed)} letters that had come"
    return None


def _mark(attempt: Attempt) -> str:
    return f"<{attempt.id}/{attempt.number}>"
