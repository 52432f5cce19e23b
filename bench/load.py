"""The load client: `python -m bench.load` reads a Job from standard input, and prints the results as JSON.

It counts the CPU of the server's processes itself, around exactly the requests it times.
"""

import gc
import statistics
import sys
import time
from collections.abc import Sequence

import httptools
import orjson

from bench.client import Connection, LoadError, WholeAnswers
from bench.loop import Loop
from bench.procs import BenchError, cpu_ns
from bench.streams import hold_streams, relay_streams
from bench.traffic import Job, checker, request_bytes

_SETTLE_S = 0.15
_WARM_REQUESTS = 2


def ask_again_and_again(job: Job) -> dict[str, float]:
    """Run a closed loop: each connection sends its next request after it has received its answer.

    The clock and the CPU count start after a few requests on each connection and a short rest; the CPU count
    ends after another rest, so that what a server does after answering is in it.
    """
    loop = Loop()
    took: list[int] = []
    until_ns = 0
    at_least = 0

    def on_answer(connection: WholeAnswers, took_ns: int) -> None:
        took.append(took_ns)
        if time.monotonic_ns() < until_ns or len(took) < at_least:
            connection.send()

    def round_trip() -> None:
        for connection in connections:
            connection.send()
        loop.run(lambda: not any(connection.is_busy for connection in connections))

    request, check = request_bytes(job), checker(job)
    connections = [
        WholeAnswers(loop, job.port, request, check=check, on_answer=on_answer) for _ in range(job.connections)
    ]
    for _ in range(_WARM_REQUESTS):
        round_trip()
    loop.rest(_SETTLE_S)
    warm, at_least = len(took), job.min_requests
    took.clear()
    before_ns, started_ns = cpu_ns(job.pids), time.monotonic_ns()
    until_ns = started_ns + int(job.seconds * 1e9)
    round_trip()
    elapsed_s = (time.monotonic_ns() - started_ns) / 1e9
    loop.rest(_SETTLE_S)
    used_ns = cpu_ns(job.pids) - before_ns
    return {
        "calls": warm + len(took),
        "requests": len(took),
        "requests_per_s": len(took) / elapsed_s,
        "cpu_ms": used_ns / 1e6 / len(took),
        **_percentiles(took),
        "reopened": Connection.reopened,
    }


def _percentiles(took_ns: Sequence[int]) -> dict[str, float]:
    if len(took_ns) < 2:
        return {"p50_ms": took_ns[0] / 1e6, "p99_ms": took_ns[0] / 1e6}
    cuts = statistics.quantiles(took_ns, n=100, method="inclusive")
    return {"p50_ms": cuts[49] / 1e6, "p99_ms": cuts[98] / 1e6}


def main() -> int:
    """Run the job and print the result. If a server failed, print the reason on standard error and return 1."""
    job = Job.from_json(sys.stdin.buffer.read())
    gc.disable()
    started_ns = time.process_time_ns()
    try:
        if job.call.operation != "stream":
            result = ask_again_and_again(job)
        elif job.hold_s:
            result = hold_streams(job)
        else:
            result = relay_streams(job)
    except (LoadError, BenchError, OSError, httptools.HttpParserError) as error:
        print(f"{job.target} {error}", file=sys.stderr)
        return 1
    result["client_cpu_s"] = (time.process_time_ns() - started_ns) / 1e9
    print(orjson.dumps(result).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
