"""When a client leaves, so does the application at the upstream; or it reads on, if that is the policy."""

from chaos.checks.check import Check, describe
from chaos.log import Log
from chaos.settings import TICK_S, Settings
from chaos.trace import LEFT, Attempt, ClientRequest, Trace

# A tick to notice, as much again to be told of, and a little for a busy machine.
_LIMIT_S = 1.0 + TICK_S + 0.5


def checks(trace: Trace, _log: Log, settings: Settings) -> list[Check]:
    left = [request for request in trace.client_requests if request.end == LEFT and request.is_sent]
    if settings.policy == "drain":
        return [_read_on(trace, left)]
    streams = [request for request in left if request.is_stream or request.is_text]
    plain = [request for request in left if request not in streams]
    return [
        _let_go(trace, streams, "streams of those who left end upstream"),
        _let_go(trace, plain, "so do their plain requests"),
    ]


def _let_go(trace: Trace, left: list[ClientRequest], title: str) -> Check:
    check = Check(title)
    delays = []
    for request in left:
        attempts = trace.by_id.get(request.id, [])
        # Some leave before anybody has looked at their request.
        since = max(request.ended_at, attempts[0].began_at) if attempts else request.ended_at
        for attempt in attempts:
            if attempt.began_at > since + _LIMIT_S:
                check.faults.append(
                    f"{request}: tried again after its client had left: {describe(trace, request.id)}"
                )
            elif _is_open_at(attempt, since):
                delay_s = _end_of(attempt) - since
                if attempt.cut_at is not None:
                    delays.append(delay_s)
                if delay_s > _LIMIT_S:
                    check.faults.append(
                        f"{request}: left {delay_s:.1f} s before {describe(trace, request.id)} was ended"
                    )
    delays.sort()
    check.figure = f"{len(delays)} were cut off"
    if delays:
        check.figure += f" after p50 {delays[len(delays) // 2]:.2f} s, max {delays[-1]:.2f} s"
    return check


def _read_on(trace: Trace, left: list[ClientRequest]) -> Check:
    check = Check("answers are read on when their client leaves")
    read = 0
    for request in left:
        for attempt in trace.by_id.get(request.id, []):
            if _is_open_at(attempt, request.ended_at):
                read += attempt.cut_at is None
                # What fails by being endless may be cut off, by the limits that hold for everybody.
                if attempt.cut_at is not None and not attempt.codes:
                    check.faults.append(f"{request}: {attempt.mode!r} was cut off: {describe(trace, request.id)}")
    check.figure = f"{read} read to their end"
    return check


def _is_open_at(attempt: Attempt, moment: float) -> bool:
    return attempt.began_at <= moment < _end_of(attempt)


def _end_of(attempt: Attempt) -> float:
    return attempt.cut_at or attempt.ended_at or float("inf")
