"""`python -m chaos`: run, print a report, and exit with status 1 if a check failed."""

import argparse
import asyncio
import random
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.procs import BenchError
from chaos import checks, log
from chaos.report import header, report
from chaos.run import run, say
from chaos.settings import Settings


def main(argv: Sequence[str] | None = None) -> int:
    """Run and print the report. Return 1 if a check failed or the run was impossible."""
    args = _arguments(argv)
    settings = _settings(args)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all started processes are stopped
    say(header(settings))
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
            trace, text = asyncio.run(run(settings, folder, stack))
    except BenchError as error:
        say(f"chaos: {error}")
        return 1
    except KeyboardInterrupt:
        say("chaos: interrupted")
        return 130
    if args.log:
        args.log.write_text(text)
    lines = log.read(text)
    found = checks.all_of(trace, lines, settings)
    print(header(settings), report(trace, lines, found, args.faults), sep="\n\n")
    return 0 if all(check.is_ok for check in found) else 1


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m chaos",
        description="Run clients of every kind against an upstream that fails in every way it can.",
        epilog="Exit status 1 if anything hung, leaked, or was miscounted. Starting, settling and stopping "
        "take about fifteen more seconds.",
    )
    parser.add_argument(
        "--seconds", type=_positive, default=120.0, metavar="S", help="duration of the load (default 120)"
    )
    parser.add_argument("--at-once", type=int, default=40, metavar="N", help="number of clients (default 40)")
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="seed of the random numbers; by default a random one, which is printed",
    )
    parser.add_argument("--policy", choices=("cancel", "drain"), default="cancel", help="DISCONNECT_POLICY")
    parser.add_argument("--worker-class", choices=("gevent", "gthread"), default="gevent", help="WORKER_CLASS")
    parser.add_argument("--no-reload", action="store_true", help="do not send a SIGHUP halfway")
    parser.add_argument("--log", type=Path, metavar="FILE", help="write the application's log to this file")
    parser.add_argument(
        "--faults", type=int, default=6, metavar="N", help="maximum faults to print for each check (default 6)"
    )
    return parser.parse_args(argv)


def _settings(args: argparse.Namespace) -> Settings:
    seed = random.SystemRandom().randrange(1, 100_000) if args.seed is None else args.seed
    return Settings(
        seconds=args.seconds,
        at_once=max(1, args.at_once),
        seed=seed,
        policy=args.policy,
        worker_class=args.worker_class,
        reload=not args.no_reload,
    )


def _positive(text: str) -> float:
    seconds = float(text)
    if not seconds > 0:
        raise argparse.ArgumentTypeError("must be more than 0")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
