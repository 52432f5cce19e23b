"""Check the attempts at the upstream: as many as logged, not more than allowed, and none before Retry-After."""

from itertools import pairwise

from chaos.checks.check import Check, describe
from chaos.log import Log
from chaos.settings import RETRY_MAX_ATTEMPTS, Settings
from chaos.trace import Attempt, Trace

_CLOCK_S = 0.02
# How many requests meet the end of their kept connection: of one call, and of all.
_MAX_UNREAD = 1
_MAX_UNREAD_SHARE = 0.01
# One repair of a structured answer makes a second round; a parameter may be dropped once for each model.
_MODELS = {"embeddings": 1}


def checks(trace: Trace, log: Log, _settings: Settings) -> list[Check]:
    return [_counted(trace, log), _bounded(trace), _not_repeated(trace), _patient(trace), _invited(trace)]


def _counted(trace: Trace, log: Log) -> Check:
    """The log's count against the upstream's own.

    A refused connection carries no id: it may be any request's that ran at that time. That leaves a margin, per
    request and in all. So does a kept connection that the upstream closes just when a request is sent on it: nobody
    can tell whether it was read, so it is an attempt.
    """
    check = Check("the log's attempts are the upstream's")
    logged = reached = 0
    client_requests = {request.id: request for request in trace.client_requests}
    for request_id, lines in log.calls.items():
        request, attempts = client_requests.get(request_id), trace.by_id.get(request_id, [])
        if request is None:
            continue
        count = sum(int(line.get("attempts", 0)) for line in lines)
        until = max([request.ended_at, *(attempt.ended_at or 0.0 for attempt in attempts)]) + 2.5
        refused = sum(request.sent_at - 0.1 <= at <= until for at in trace.refused_at)
        logged, reached = logged + count, reached + len(attempts)
        closed = sum(request.sent_at - 0.1 <= at <= until for at in trace.closed_at)
        if not len(attempts) <= count <= len(attempts) + refused + min(_MAX_UNREAD, closed):
            check.faults.append(
                f"{request}: {count} in the log, {len(attempts)} arrived"
                f" ({refused} connections refused meanwhile): {describe(trace, request_id)}"
            )
    most = reached + len(trace.refused_at) + max(1, round(_MAX_UNREAD_SHARE * reached))
    if not reached <= logged <= most:
        check.faults.append(f"{logged} in the log in all, between {reached} and {most} expected")
    check.figure = f"{logged:,} logged; {reached:,} arrived, {len(trace.refused_at)} refused"
    return check


def _bounded(trace: Trace) -> Check:
    check = Check("no request is tried too often")
    most = 0
    for request_id, attempts in trace.by_id.items():
        operation = attempts[0].operation
        rounds = 2 if operation == "structured" else 1
        adaptations = sum(attempt.is_adaptation for attempt in attempts)
        bound = _MODELS.get(operation, 2) * RETRY_MAX_ATTEMPTS * rounds + adaptations
        most = max(most, len(attempts))
        if len(attempts) > bound:
            check.faults.append(f"{request_id}: {len(attempts)}, {bound} allowed: {describe(trace, request_id)}")
    check.figure = f"most {most}; {RETRY_MAX_ATTEMPTS} for each model"
    return check


def _not_repeated(trace: Trace) -> Check:
    check = Check("no verdict is appealed")
    verdicts = 0
    for request_id, attempts in trace.by_id.items():
        for one, others in _with_following(attempts):
            following = _of_same_round(others)
            is_final = one.is_verdict or one.may_retry is False
            verdicts += is_final
            if is_final and any(other.model == one.model for other in following):
                check.faults.append(f"{request_id}: again after {one.mode!r}: {describe(trace, request_id)}")
            elif one.status in (400, 422) and one.is_verdict and following:
                check.faults.append(
                    f"{request_id}: another model after {one.mode!r}: {describe(trace, request_id)}"
                )
    check.figure = f"{verdicts:,} verdicts"
    return check


def _with_following(attempts: list[Attempt]) -> list[tuple[Attempt, list[Attempt]]]:
    return [(attempt, attempts[i + 1 :]) for i, attempt in enumerate(attempts)]


def _of_same_round(following: list[Attempt]) -> list[Attempt]:
    """Return the attempts up to an answer that does not match its schema. Repairing it is a new request."""
    unfit = next((i for i, attempt in enumerate(following) if "refused" in attempt.codes), len(following))
    return following[: unfit + 1]


def _patient(trace: Trace) -> Check:
    check = Check("nobody comes back before Retry-After")
    asked = came_back = 0
    least_s: float | None = None
    for request_id, attempts in trace.by_id.items():
        asked += sum(attempt.not_before is not None for attempt in attempts)
        for one, following in _with_following(attempts):
            again = next((other for other in following if other.model == one.model), None)
            if one.not_before is None or again is None:
                continue
            came_back += 1
            spare_s = again.began_at - one.not_before
            least_s = spare_s if least_s is None else min(least_s, spare_s)
            if spare_s < -_CLOCK_S:
                check.faults.append(f"{request_id}: {-spare_s:.2f} s too soon: {describe(trace, request_id)}")
    spare = "" if least_s is None else f", the soonest {least_s:.2f} s later"
    check.figure = f"asked {asked:,} times, {came_back:,} came back{spare}"
    return check


def _invited(trace: Trace) -> Check:
    check = Check("nothing came that nobody had asked for", faults=trace.uninvited)
    for request_id, attempts in trace.by_id.items():
        for one, other in pairwise(attempts):
            if one.ended_at is not None and other.began_at < one.ended_at - _CLOCK_S and one.cut_at is None:
                check.faults.append(f"{request_id}: two attempts at once: {describe(trace, request_id)}")
    known = {request.id for request in trace.client_requests}
    spoiled = {request.id for request in trace.client_requests if request.expects is not None}
    check.faults += [f"{name} of no client's" for name in trace.by_id.keys() - known]
    check.faults += [f"{name} should have been refused at the door" for name in trace.by_id.keys() & spoiled]
    check.figure = f"{len(trace.attempts):,} attempts"
    return check
