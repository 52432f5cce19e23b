"""What is printed of a run."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from chaos.book import LEFT, UNUSED, WHOLE, Ask, Book
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

_WIDTH = 100


def header(settings: Settings) -> str:
    """What is about to happen."""
    return (
        f"{settings.seconds:g} s of {settings.at_once} visitors, seed {settings.seed}; "
        f"{WORKERS} {settings.worker_class} workers, policy {settings.policy}, "
        f"{'with' if settings.reload else 'without'} a reload\n"
        f"timeouts: request {settings.request_timeout_s:g} s, first token {FIRST_TOKEN_TIMEOUT_S:g} s, "
        f"silence {IDLE_TIMEOUT_S:g} s; {RETRY_MAX_ATTEMPTS} attempts a model, "
        f"{settings.most_streams} streams at most"
    )


def report(book: Book, log: Log, checks: Sequence[Check], most_faults: int) -> str:
    """Everything there is to say, as text."""
    parts = [
        _asked(book),
        _columns("what the upstream did", Counter(attempt.mode for attempt in book.attempts)),
        _columns("what was answered", Counter(_answer(ask) for ask in book.asks)),
        _columns("what the log says of calls", _outcomes(log)),
        _again(book),
        _verdicts(book, checks, most_faults),
    ]
    return "\n\n".join(parts)


def _asked(book: Book) -> str:
    heads = ("what was asked", "asked", "spoiled", "answered", "broken", "left", "unused")
    rows = []
    for route in sorted({ask.route for ask in book.asks}):
        asks = [ask for ask in book.asks if ask.route == route]
        ends = Counter(ask.end for ask in asks)
        spoiled = sum(ask.expects is not None for ask in asks)
        broken = len(asks) - ends[WHOLE] - ends[LEFT] - ends[UNUSED]
        rows.append((route, len(asks), spoiled, ends[WHOLE], broken, ends[LEFT], ends[UNUSED]))
    if len(rows) > 1:
        rows.append(("in all", *(sum(column) for column in list(zip(*rows, strict=True))[1:])))
    lines = [f"{heads[0]:<24}" + "".join(f"{head:>10}" for head in heads[1:]), "─" * (24 + 10 * (len(heads) - 1))]
    lines += [f"{row[0]:<24}" + "".join(f"{cell:>10,}" for cell in row[1:]) for row in rows]
    return "\n".join(lines)


def _answer(ask: Ask) -> str:
    if ask.end in (LEFT, UNUSED):
        return "left before the end" if ask.end == LEFT else "a closed connection"
    if ask.end != WHOLE:
        return f"{ask.status or 'nothing'} … {ask.end}"
    code = final_code(ask)
    if ask.status == 200:
        return f"200 … {code}" if code else "200"
    return f"{ask.status}" if ask.is_text else f"{ask.status} {code}"


def _outcomes(log: Log) -> Counter[str]:
    return Counter(line.get("outcome", "none") for lines in log.calls.values() for line in lines)


def _again(book: Book) -> str:
    retries = fallbacks = 0
    for attempts in book.by_id.values():
        for one, other in pairwise(attempts):
            retries += one.model == other.model
            fallbacks += (one.model, other.model) == (CHAT, FALLBACK)
    opened = sum(final_code(ask) == "circuit_open" for ask in book.asks)
    calls = len(book.by_id)
    each = len(book.attempts) / calls if calls else 0.0
    return (
        f"{len(book.attempts):,} attempts for {calls:,} calls ({each:.2f} each): {retries:,} at the same model again, "
        f"{fallbacks:,} fallbacks;\n{len(book.refused_at)} connections refused; circuit_open seen {opened} times; "
        f"this tool's own slowest turn {book.slowest_turn_s:.2f} s"
    )


def _verdicts(book: Book, checks: Sequence[Check], most_faults: int) -> str:
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
        else f"all {len(checks)} checks passed, {len(book.asks):,} requests"
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
    """The counts beside each other, most frequent first, read down the columns."""
    width = _WIDTH // columns
    cells = [f"{count:>5,}  {name}"[: width - 1].ljust(width) for name, count in counts.most_common()]
    rows = -(-len(cells) // columns)
    lines = ["".join(cells[row::rows]).rstrip() for row in range(rows)] if cells else ["  nothing"]
    return "\n".join([title, "─" * _WIDTH, *lines])
