"""`python -m bench`: run the measures that its arguments select, and print the tables."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import orjson

from bench.counts.calls import COUNTED
from bench.measures import GROUPS
from bench.procs import BenchError
from bench.report import Rounds, tables
from bench.run import Run, measures_of, say
from bench.targets import DIRECT, NAMES, PRODUCT, RESPONSES, Target


def main(argv: Sequence[str] | None = None) -> int:
    """Run and print the report. Return 1 if something failed, with the reason on standard error."""
    args = _arguments(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all started processes are stopped
    try:
        targets = _targets(args)
        rounds = _measure(args, targets)
    except BenchError as error:
        say(f"bench: {error}")
        return 1
    except KeyboardInterrupt:
        say("bench: interrupted")
        return 130
    print(tables(rounds, targets))
    if args.json:
        args.json.write_bytes(orjson.dumps(rounds, option=orjson.OPT_INDENT_2))
    return 0


def _measure(args: argparse.Namespace, targets: Sequence[Target]) -> Rounds:
    rounds: Rounds = [{} for _ in range(args.rounds)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        run = Run(stack, folder, scale=0.4 if args.quick else 1.0)
        servers = [target for target in targets if target.kind != DIRECT]
        if "start" in args.only:
            for i, figures in enumerate(rounds):
                say(f"round {i + 1}: start")
                _add(figures, {t.name: run.time_start(t) for t in servers if t.is_python})
        if "calls" in args.only:  # the same in each round
            say("calls of a chat")
            _add(rounds[0], {t.name: run.count_calls(t) for t in servers if t.kind in COUNTED})
        if not set(args.only) - {"start", "calls"}:
            return rounds
        run.keep_running(targets)
        for i, figures in enumerate(rounds):
            order = (
                targets[i % len(targets) :] + targets[: i % len(targets)]
            )  # so that no target is always the first
            for measure in measures_of(args.only):
                say(f"round {i + 1}: {measure.title}")
                _add(figures, run.round(measure, order))
            if "held" in args.only:
                say(f"round {i + 1}: streams held")
                _add(figures, {t.name: run.hold(t) for t in order if t.kind != DIRECT})
    return rounds


def _add(figures: dict[str, dict[str, float]], more: dict[str, dict[str, float]]) -> None:
    for name, rows in more.items():
        figures.setdefault(name, {}).update(rows)


def _targets(args: argparse.Namespace) -> list[Target]:
    settings = dict(args.env)
    if args.worker_class:
        settings["WORKER_CLASS"] = args.worker_class
    own = {PRODUCT: settings, RESPONSES: settings | {"UPSTREAM_API": "responses"}}
    wanted = [
        Target(name, PRODUCT if name in own else name, own.get(name, {})) for name in NAMES if name in args.targets
    ]
    if PRODUCT in args.targets:
        wanted += [
            Target(",".join(f"{k}={v}" for k, v in also), PRODUCT, settings | dict(also)) for also in args.also
        ]
    targets = []
    for target in wanted:
        reason = target.why_not()
        if reason:
            say(f"{target.name} is left out: {reason}")
        else:
            targets.append(target)
    return targets


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="What a call through Gatehouse costs.")
    parser.add_argument("--rounds", type=int, help="rounds over all servers (default 3)")
    parser.add_argument("--quick", action="store_true", help="one short round: a smoke test, not a measurement")
    parser.add_argument("--full", action="store_true", help="also how many streams are held at once (minutes)")
    parser.add_argument("--only", type=_names(GROUPS), metavar="A,B", help=f"of {', '.join(GROUPS)}")
    parser.add_argument(
        "--targets", type=_names(NAMES), default=list(NAMES), metavar="A,B", help=f"of {', '.join(NAMES)}"
    )
    parser.add_argument("--worker-class", metavar="CLASS", help="WORKER_CLASS for gatehouse")
    parser.add_argument(
        "--env", type=_setting, action="append", default=[], metavar="KEY=VALUE", help="for gatehouse"
    )
    parser.add_argument(
        "--also",
        type=lambda text: [_setting(pair) for pair in text.split(",")],
        action="append",
        default=[],
        metavar="KEY=VALUE[,KEY=VALUE]",
        help="measure gatehouse with these settings too, as one more column",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's figures here")
    args = parser.parse_args(argv)
    args.rounds = args.rounds or (1 if args.quick else 3)
    args.only = args.only or [group for group in GROUPS if args.full or group != "held"]
    if DIRECT not in args.targets:
        args.targets.append(DIRECT)
    return args


def _names(known: Sequence[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",")]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(known)}")
        return names

    return parse


def _setting(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


if __name__ == "__main__":
    sys.exit(main())
