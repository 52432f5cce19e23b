"""Format the report of a run."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from chaos.checks import Check
from chaos.checks.reading import final_code
from chaos.log import Log
from chaos.settings import (
    CHAT,
    FALLBACK,
    FIRST_TOKEN_TIMEOUT_S,
    IDLE_TIMEOUT_S,
    RETRY_MAX_ATTEMPTS,
    WORKERS,
    Settings,
)
from chaos.trace import LEFT, UNUSED, WHOLE, ClientRequest, Trace

_WIDTH = 100


def header(settings: Settings) -> str:
    """Return a summary of the run's settings."""
    return (
        f"{settings.seconds:g} s of {settings.at_once} clients, seed {settings.seed}; "
        f"{WORKERS} {settings.worker_class} workers, policy {settings.policy}, "
        f"{'with' if settings.reload else 'without'} a reload\n"
        f"timeouts: request {settings.request_timeout_s:g} s, first token {FIRST_TOKEN_TIMEOUT_S:g} s, "
        f"silence {IDLE_TIMEOUT_S:g} s; {RETRY_MAX_ATTEMPTS} attempts a model, "
        f"{settings.most_streams} streams at most"
    )


def report(trace: Trace, log: Log, checks: Sequence[Check], most_faults: int) -> str:
    """Return the report as text."""
    parts = [
        _asked(trace),
        _columns("what the upstream did", Counter(attempt.mode for attempt in trace.attempts)),
        _columns("what was answered", Counter(_answer(request) for request in trace.client_requests)),
        _columns("what the log says of calls", _outcomes(log)),
        _again(trace),
        _verdicts(trace, checks, most_faults),
    ]
    return "\n\n".join(parts)


def _asked(trace: Trace) -> str:
    heads = ("what was asked", "asked", "spoiled", "answered", "broken", "left", "unused")
    rows = []
    for route in sorted({request.route for request in trace.client_requests}):
        client_requests = [request for request in trace.client_requests if request.route == route]
        ends = Counter(request.end for request in client_requests)
        spoiled = sum(request.expects is not None for request in client_requests)
        broken = len(client_requests) - ends[WHOLE] - ends[LEFT] - ends[UNUSED]
        rows.append((route, len(client_requests), spoiled, ends[WHOLE], broken, ends[LEFT], ends[UNUSED]))
    if len(rows) > 1:
        rows.append(("in all", *(sum(column) for column in list(zip(*rows, strict=True))[1:])))
    lines = [f"{heads[0]:<24}" + "".join(f"{head:>10}" for head in heads[1:]), "─" * (24 + 10 * (len(heads) - 1))]
    lines += [f"{row[0]:<24}" + "".join(f"{cell:>10,}" for cell in row[1:]) for row in rows]
    return "\n".join(lines)


def _answer(request: ClientRequest) -> str:
    if request.end in (LEFT, UNUSED):
        return "left before the end" if request.end == LEFT else "a closed connection"
    if request.end != WHOLE:
        return f"{request.status or 'nothing'} … {request.end}"
    code = final_code(request)
    if request.status == 200:
        return f"200 … {code}" if code else "200"
    return f"{request.status}" if request.is_text else f"{request.status} {code}"


def _outcomes(log: Log) -> Counter[str]:
    return Counter(line.get("outcome", "none") for lines in log.calls.values() for line in lines)


def _again(trace: Trace) -> str:
    retries = fallbacks = 0
    for attempts in trace.by_id.values():
        for one, other in pairwise(attempts):
            retries += one.model == other.model
            fallbacks += (one.model, other.model) == (CHAT, FALLBACK)
    opened = sum(final_code(request) == "circuit_open" for request in trace.client_requests)
    calls = len(trace.by_id)
    each = len(trace.attempts) / calls if calls else 0.0
    return (
        f"{len(trace.attempts):,} attempts for {calls:,} calls ({each:.2f} each): {retries:,} at the same model again, "
        f"{fallbacks:,} fallbacks;\n{len(trace.refused_at)} connections refused; circuit_open seen {opened} times; "
        f"this tool's own slowest turn {trace.slowest_turn_s:.2f} s"
    )


def _verdicts(trace: Trace, checks: Sequence[Check], most_faults: int) -> str:
    lines = ["checks", "─" * _WIDTH]
    for check in checks:
        lines.append(f"{'ok  ' if check.is_ok else 'FAIL'}  {check.title}")
        lines += [f"        {line}" for line in _wrapped(check.figure, _WIDTH - 8)]
        shown = check.faults[:most_faults]
        lines += [f"      ✗ {fault}" for fault in shown]
        if len(check.faults) > len(shown):
            lines.append(f"      … and {len(check.faults) - len(shown)} more")
    failed = sum(not check.is_ok for check in checks)
    lines.append("─" * _WIDTH)
    lines.append(
        f"{failed} of {len(checks)} checks failed"
        if failed
        else f"all {len(checks)} checks passed, {len(trace.client_requests):,} requests"
    )
    return "\n".join(lines)


def _wrapped(text: str, width: int) -> list[str]:
    lines, line = [], ""
    for word in text.split(" "):
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line] if line else lines


def _columns(title: str, counts: Counter[str], columns: int = 3) -> str:
    """Return the counts in columns, the most frequent first, to be read downwards."""
    width = _WIDTH // columns
    cells = [f"{count:>5,}  {name}"[: width - 1].ljust(width) for name, count in counts.most_common()]
    rows = -(-len(cells) // columns)
    lines = ["".join(cells[row::rows]).rstrip() for row in range(rows)] if cells else ["  nothing"]
    return "\n".join([title, "─" * _WIDTH, *lines])
