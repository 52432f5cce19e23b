"""Check that after a client has left, its stream is ended at the upstream, and a complete answer is read to its end.

An upstream writes an answer in one piece to its end, whoever is there, and bills it. With DISCONNECT_POLICY=drain streams
are read on as well.
"""

from chaos.checks.check import Check, describe
from chaos.log import Log
from chaos.settings import TICK_S, Settings
from chaos.trace import LEFT, Attempt, ClientRequest, Trace

# A tick to notice, as much again to be told of, and a little for a busy machine.
_LIMIT_S = 1.0 + TICK_S + 0.5


def checks(trace: Trace, _log: Log, settings: Settings) -> list[Check]:
    left = [request for request in trace.client_requests if request.end == LEFT and request.is_sent]
    plain = [request for request in left if not (request.is_stream or request.is_text)]
    streams = [request for request in left if request.is_stream or request.is_text]
    what_streams_do = _read_on if settings.policy == "drain" else _let_go
    return [
        what_streams_do(trace, streams, "streams of those who left"),
        _read_on(trace, plain, "plain answers of those who left"),
        _not_tried_again(trace, left),
    ]


def _let_go(trace: Trace, left: list[ClientRequest], whose: str) -> Check:
    check = Check(f"{whose} end upstream")
    delays = []
    for request in left:
        attempts = trace.by_id.get(request.id, [])
        since = _left_at(request, attempts)
        for attempt in attempts:
            if _is_open_at(attempt, since):
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


def _read_on(trace: Trace, left: list[ClientRequest], whose: str) -> Check:
    check = Check(f"{whose} are read on")
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


def _not_tried_again(trace: Trace, left: list[ClientRequest]) -> Check:
    check = Check("nothing is tried again for those who left")
    for request in left:
        attempts = trace.by_id.get(request.id, [])
        since = _left_at(request, attempts)
        check.faults += [
            f"{request}: tried again after its client had left: {describe(trace, request.id)}"
            for attempt in attempts
            if attempt.began_at > since + _LIMIT_S
        ]
    check.figure = f"{len(left)} left"
    return check


def _left_at(request: ClientRequest, attempts: list[Attempt]) -> float:
    """Return when a client left. Some leave before their request is read."""
    return max(request.ended_at, attempts[0].began_at) if attempts else request.ended_at


def _is_open_at(attempt: Attempt, moment: float) -> bool:
    return attempt.began_at <= moment < _end_of(attempt)


def _end_of(attempt: Attempt) -> float:
    return attempt.cut_at or attempt.ended_at or float("inf")
