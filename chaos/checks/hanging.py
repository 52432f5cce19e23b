"""Check that nothing hung: every request was answered, or ended, within its deadline."""

from chaos.checks.check import Check, describe, of
from chaos.log import Log
from chaos.settings import Settings
from chaos.trace import HUNG, LEFT, UNUSED, Trace

# Two for the last steps, one for a machine that is busy.
_BESIDES_S = 3.0
# How long a connection may wait for a worker to take it, while all of them are being replaced.
_QUEUED_S = 10.0


def checks(trace: Trace, _log: Log, settings: Settings) -> list[Check]:
    limit_s = settings.request_timeout_s + _BESIDES_S
    waited = [request for request in trace.client_requests if request.end not in (LEFT, UNUSED)]
    check = Check("nothing hung")
    queued = {
        request.id: trace.by_id[request.id][0].began_at - request.sent_at
        for request in waited
        if trace.by_id.get(request.id)
    }
    worked = {request.id: request.took_s - request.slow_s - queued.get(request.id, 0.0) for request in waited}
    # Not the application's fault either: the machine ran other programs, and it had to wait.
    idle = {request.id: trace.processor_waits.between(request.sent_at, request.ended_at) for request in waited}
    check.figure = (
        f"longest {max(worked.values(), default=0.0):.2f} s, limit {limit_s:g} s; the upstream was first asked after"
        f" {max(queued.values(), default=0.0):.2f} s at the latest; a worker waited for a processor for"
        f" {max(idle.values(), default=0.0):.2f} s at most"
    )
    for request in waited:
        if (
            request.end == HUNG
            or worked[request.id] - idle[request.id] > limit_s
            or queued.get(request.id, 0.0) > _QUEUED_S
        ):
            check.faults.append(
                f"{request} took {request.took_s:.1f} s and {request.end}: {describe(trace, request.id)}"
            )
    return [check, _heads(trace)]


def _heads(trace: Trace) -> Check:
    """Check that each client that stayed has an answer, or the error that the server stops."""
    stayed = [request for request in trace.client_requests if request.end not in (LEFT, HUNG)]
    check = Check("who stayed was answered")
    unanswered = [request for request in stayed if not request.status]
    for request in unanswered:
        if request.end != UNUSED:
            check.faults.append(f"{request} got nothing at all: {describe(trace, request.id)}")
        elif not request.is_kept and not any(start <= request.sent_at <= end + 0.2 for start, end in trace.drains):
            check.faults.append(f"{request} could not connect")
        elif trace.by_id.get(request.id):
            check.faults.append(
                f"{request} was hung up on, although the model was asked: {describe(trace, request.id)}"
            )
    check.figure = f"{of(len(stayed) - len(unanswered), len(stayed))}; {len(unanswered)} met a closed connection"
    return check
