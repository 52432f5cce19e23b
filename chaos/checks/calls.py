"""Check that each admitted request has one log line, which says what happened."""

from collections.abc import Iterator

from chaos.checks.check import Check, describe, of
from chaos.checks.reading import final_code
from chaos.log import Log
from chaos.settings import Settings
from chaos.trace import BROKEN, HUNG, LEFT, WHOLE, ClientRequest, Trace

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


def checks(trace: Trace, log: Log, settings: Settings) -> list[Check]:
    lines = Check("one log line for each call, and none besides")
    outcomes = Check("the log's outcome is what the client saw")
    lines.faults += [
        f"a call line for the unknown {name!r}"
        for name in log.calls.keys() - {a.id for a in trace.client_requests}
    ]
    called = judged = 0
    for request in trace.client_requests:
        found = log.calls.get(request.id, [])
        called += len(found)
        expected = _how_many(trace, request)
        if len(found) not in expected:
            lines.faults.append(
                f"{request} {_seen(request)}: {len(found)} lines, {sorted(expected)} expected: {describe(trace, request.id)}"
            )
        for line in found:
            judged += 1
            outcomes.faults += [
                f"{request} {_seen(request)}, but the log says {fault}: {describe(trace, request.id)}"
                for fault in _faults(trace, request, line, settings)
            ]
    lines.figure = f"{called:,} lines"
    outcomes.figure = of(judged - len(outcomes.faults), judged)
    return [lines, outcomes]


def _how_many(trace: Trace, request: ClientRequest) -> set[int]:
    if trace.by_id.get(request.id):
        return {1}
    if request.expects is not None:
        return {0}
    if request.end in (LEFT, HUNG) and not request.status:
        return {0, 1} if request.is_sent else {0}
    if not request.status:
        return {0}
    if request.is_text and request.status in (429, 503):
        return {0, 1}  # which of the codes it was, this route does not say
    return {0, 1} if final_code(request) in _AT_THE_DOOR else {1}


def _faults(trace: Trace, request: ClientRequest, line: dict[str, str], settings: Settings) -> Iterator[str]:
    outcome = line.get("outcome", "")
    expected = _expected(trace, request, settings)
    if outcome not in expected:
        yield outcome
    told = request.headers.get("x-attempts")
    if told is not None and request.status == 200 and told != line.get("attempts"):
        yield f"{line.get('attempts')} attempts, where the answer said {told}"


def _expected(trace: Trace, request: ClientRequest, settings: Settings) -> set[str]:
    if request.end == LEFT:
        return _after_leaving(trace, request, settings)
    if request.end in (BROKEN, HUNG):
        return _FAILURES | {"rejected", "interrupted"}
    code = final_code(request)
    if code is None and request.status == 200:
        return {"complete"}
    if request.is_text:
        return _FAILURES | {"rejected"}
    return _OUTCOMES.get(code or "", {"rejected"})


def _after_leaving(trace: Trace, request: ClientRequest, settings: Settings) -> set[str]:
    """Return the outcomes that the log may have for a client that has left: `client_gone` only if the call was ended for it."""
    attempts = trace.by_id.get(request.id, [])
    last = attempts[-1] if attempts else None
    # Before any timeout can have passed, nothing else cuts off an upstream that is silent.
    is_for_that = (
        last is not None and last.cut_at is not None and last.was_silent and last.cut_at < last.began_at + 1.9
    )
    if settings.policy == "cancel" and is_for_that and request.took_s < settings.request_timeout_s - 2.0:
        return {"client_gone"}
    return {"client_gone", "complete", "rejected", "interrupted"} | _FAILURES


def _seen(request: ClientRequest) -> str:
    if request.end != WHOLE:
        return f"({request.status or 'no answer'}, {request.end})"
    return f"({request.status} {final_code(request) or 'whole'})"
