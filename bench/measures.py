"""The measures: each turns one job of the load client into rows of the table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.targets import DIRECT, PRODUCT, Target
from bench.traffic import (
    AGUI,
    BRIEF_DELAY,
    LONG_STREAM,
    OPENAI,
    RESPONSES,
    SHORT_STREAM,
    SLOW,
    STREAM,
    UI_STREAM,
    Call,
)

Result = Mapping[str, float]
Rows = dict[str, float]

_CHAT = Call("chat")


@dataclass(frozen=True)
class Row:
    """A line of the table, with the number of decimal digits, and whether the ratio of two columns is meaningful."""

    title: str
    digits: int = 2
    has_ratio: bool = True


ROWS = {
    "start_s": Row("start to first answer, s"),
    "rest_mib": Row("memory at rest, MiB", 0),
    # Counted in process, without the web server: see bench/counts/calls.py.
    "calls": Row("a chat's calls of functions, of Python and C", 0),
    "calls_app": Row("    of app/, but for the next three", 0, has_ratio=False),
    "calls_openai_service": Row("    openai_service", 0, has_ratio=False),
    "calls_ledger": Row("    ledger", 0, has_ratio=False),
    "calls_shared_state": Row("    shared_state", 0, has_ratio=False),
    "calls_werkzeug": Row("    werkzeug", 0, has_ratio=False),
    "calls_flask": Row("    flask", 0, has_ratio=False),
    "calls_sdk": Row("    the SDK", 0, has_ratio=False),
    "calls_httpx2": Row("    httpx2", 0, has_ratio=False),
    "calls_stdlib": Row("    the standard library", 0, has_ratio=False),
    "calls_others": Row("    others", 0, has_ratio=False),
    "stream_calls": Row("calls of functions of a stream of one chunk", 0, has_ratio=False),
    "statements": Row("a chat's SQL statements", 0, has_ratio=False),
    "chat1_rps": Row("chat, one at a time: requests/s", 0),
    "chat1_cpu": Row("    CPU ms a request", 3),
    "chat1_p50": Row("    added p50, ms", 3),
    "chat1_p99": Row("    added p99, ms", 2),
    # Where the upstream answers at once, processes wake each other before they sleep, and a hop can seem to
    # take less than its own CPU time; over a short wait they do sleep in between, as they would in earnest.
    "quiet_p50": Row("chat, one at a time over 3 ms: added p50, ms", 3),
    "quiet_p99": Row("    added p99, ms", 2),
    "chat32_rps": Row("chat, 32 at once: requests/s", 0),
    "chat32_cpu": Row("    CPU ms a request", 3),
    "chat32_p99": Row("    p99, ms", 1),
    "slow_p50": Row("chat, 32 at once over 100 ms: added p50, ms", 2),
    "slow_p99": Row("    added p99, ms", 1),
    "long_cpu": Row("chat of 80 messages: CPU ms a request", 3),
    "stream_cpu": Row("32 streams: CPU ms a 1,000 chunks", 1),
    "stream_ttft": Row("    added time to first token p50, ms", 2),
    "stream_p50": Row("    added chunk delay p50, ms", 2),
    "stream_p99": Row("    added chunk delay p99, ms", 2),
    "v1_stream_cpu": Row("32 streams as OpenAI's, below /v1: CPU ms a 1,000 chunks", 1),
    "responses_stream_cpu": Row("32 streams of /v1/responses: CPU ms a 1,000 chunks", 1),
    "ui_stream_cpu": Row("32 streams as the AI SDK's: CPU ms a 1,000 chunks", 1),
    "agui_stream_cpu": Row("32 streams as AG-UI's: CPU ms a 1,000 chunks", 1),
    "embed256_cpu": Row("embeddings of 256 texts: CPU ms a request", 2),
    "embed1_cpu": Row("embeddings of 1 text: CPU ms a request", 3),
    "held": Row("streams held, p99 delay < 50 ms", 0),
    "held_kib": Row("    memory a held stream, KiB", 1, has_ratio=False),
}


@dataclass(frozen=True)
class Measure:
    """One load on every target.

    rows reads a target's result beside that of going to the upstream directly, which is measured in the same
    round where needs_direct, and is empty otherwise.
    """

    group: str
    title: str
    call: Call
    rows: Callable[[Result, Result], Rows]
    connections: int = 1
    seconds: float = 1.0
    min_requests: int = 0
    needs_direct: bool = False
    only_product: bool = False

    def applies_to(self, target: Target) -> bool:
        """Return whether this target is loaded."""
        if self.only_product:
            return target.kind == PRODUCT
        return self.needs_direct or target.kind != DIRECT


def _added(name: str, result: Result, direct: Result) -> float:
    return result[name] - direct[name]


def _measure_format(dialect: str, name: str, row: str) -> Measure:
    """Return the measure of a wire format that only Gatehouse has."""
    return Measure(
        "stream",
        f"32 streams {name}",
        Call("stream", model=STREAM, dialect=dialect),
        lambda it, _: {row: it["cpu_ms_per_1000"]},
        connections=32,
        only_product=True,
    )


MEASURES = (
    Measure(
        "chat",
        "chat, one at a time",
        _CHAT,
        lambda it, direct: {
            "chat1_rps": it["requests_per_s"],
            "chat1_cpu": it["cpu_ms"],
            "chat1_p50": _added("p50_ms", it, direct),
            "chat1_p99": _added("p99_ms", it, direct),
        },
        needs_direct=True,
    ),
    Measure(
        "chat",
        "chat, one at a time over 3 ms",
        Call("chat", model=BRIEF_DELAY),
        lambda it, direct: {
            "quiet_p50": _added("p50_ms", it, direct),
            "quiet_p99": _added("p99_ms", it, direct),
        },
        needs_direct=True,
    ),
    Measure(
        "chat",
        "chat, 32 at once",
        _CHAT,
        lambda it, _: {
            "chat32_rps": it["requests_per_s"],
            "chat32_cpu": it["cpu_ms"],
            "chat32_p99": it["p99_ms"],
        },
        connections=32,
        seconds=1.2,
    ),
    Measure(
        "slow",
        "chat, 32 at once over 100 ms",
        Call("chat", model=SLOW),
        lambda it, direct: {
            "slow_p50": _added("p50_ms", it, direct),
            "slow_p99": _added("p99_ms", it, direct),
        },
        connections=32,
        seconds=1.2,
        needs_direct=True,
    ),
    Measure(
        "long",
        "chat of 80 messages",
        Call("chat", size=80),
        lambda it, _: {"long_cpu": it["cpu_ms"]},
        seconds=0.8,
    ),
    Measure(
        "stream",
        "32 streams",
        Call("stream", model=STREAM),
        lambda it, direct: {
            "stream_cpu": it["cpu_ms_per_1000"],
            "stream_ttft": _added("first_token_p50_ms", it, direct),
            "stream_p50": _added("delay_p50_ms", it, direct),
            "stream_p99": _added("delay_p99_ms", it, direct),
        },
        connections=32,
        needs_direct=True,
    ),
    _measure_format(OPENAI, "as OpenAI's, below /v1", "v1_stream_cpu"),
    _measure_format(RESPONSES, "of /v1/responses", "responses_stream_cpu"),
    _measure_format(UI_STREAM, "as the AI SDK's", "ui_stream_cpu"),
    _measure_format(AGUI, "as AG-UI's", "agui_stream_cpu"),
    Measure(
        "embeddings",
        "embeddings of 256 texts",
        Call("embeddings", size=256),
        lambda it, _: {"embed256_cpu": it["cpu_ms"]},
        seconds=0.8,
        min_requests=3,
    ),
    Measure(
        "embeddings",
        "embeddings of 1 text",
        Call("embeddings", size=1),
        lambda it, _: {"embed1_cpu": it["cpu_ms"]},
        seconds=0.6,
    ),
)

WARM_UP = (Call("chat"), Call("stream", model=SHORT_STREAM), Call("embeddings", size=1))

HELD_CALL = Call("stream", model=LONG_STREAM)
HELD_LADDER = (64, 128, 256, 512, 1024)
HELD_LATEST_MS = 50.0
HELD_STARTS_PER_S = 250

GROUPS = ("start", "calls", *dict.fromkeys(measure.group for measure in MEASURES), "held")
