"""`python -m chaos.nodes`: load two nodes, with or without faults, and exit with status 1 if a check failed."""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.procs import BenchError
from chaos.killing.balance import Balance, settle
from chaos.killing.upstream import BillingUpstream
from chaos.nodes.faults import Fault, break_things
from chaos.nodes.load import Answer, Load
from chaos.nodes.network import open_network
from chaos.nodes.site import running_site
from chaos.nodes.soak import soak
from chaos.run import say


def main(argv: Sequence[str] | None = None) -> int:
    """Run and print the report. Return 1 if a call failed without an excuse, something grew, or the charges are wrong."""
    parser = argparse.ArgumentParser(prog="python -m chaos.nodes", description=__doc__)
    parser.add_argument("--soak", action="store_true", help="break nothing, and look whether anything grows")
    parser.add_argument("--seconds", type=float, metavar="S", help="of load (default 60; with --soak 600)")
    parser.add_argument("--callers", type=int, default=32, metavar="N", help="at once (default 32)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of --soak, at least 2 (default 5)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the random numbers (default 1)")
    args = parser.parse_args(argv)
    args.seconds = args.seconds or (600.0 if args.soak else 60.0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all that was started is stopped
    with tempfile.TemporaryDirectory(prefix="nodes-") as folder:
        Path(folder).chmod(0o755)
        try:
            return asyncio.run(_run(args, Path(folder)))
        except BenchError as error:
            say(f"chaos: {error}")
            return 1


async def _run(args: argparse.Namespace, folder: Path) -> int:
    upstream = BillingUpstream(args.seed)
    faults: list[Fault] = []
    grown: list[str] = []
    with ExitStack() as stack:
        network = stack.enter_context(open_network(2))
        await upstream.start(network.address)
        site = stack.enter_context(running_site(folder, network, upstream.port))
        for node in site.nodes:
            await node.until_ready()
        load = Load(site.port, args.seed)
        if args.soak:
            rounds = max(2, args.rounds)
            grown = await soak(
                site,
                load,
                callers=args.callers,
                seconds=args.seconds,
                rounds=rounds,
                upstream_port=upstream.port,
            )
        else:
            asking = asyncio.create_task(load.keep_asking(args.callers, time.monotonic() + args.seconds))
            faults = await break_things(site, args.seconds)
            await asking
        await asyncio.sleep(10)  # answers in one piece are written to their end
        for node in site.nodes:
            node.server.stop()
        balance = settle(site.url, [node.folder / "data" for node in site.nodes], upstream)
    unexcused = find_unexcused(load.answers, faults)
    print(_report(load.answers, unexcused, grown, balance))
    return 0 if balance.is_sound and not unexcused and not grown else 1


def find_unexcused(answers: Sequence[Answer], faults: Sequence[Fault]) -> list[Answer]:
    """Return the failed answers that no fault excuses."""
    return [
        answer for answer in answers if not answer.is_fine and not any(fault.excuses(answer) for fault in faults)
    ]


def _report(answers: Sequence[Answer], unexcused: Sequence[Answer], grown: Sequence[str], balance: Balance) -> str:
    def count(some: Sequence[Answer]) -> str:
        return ", ".join(f"{number} {what}" for what, number in Counter(each.what for each in some).most_common())

    return "\n".join(
        [
            f"{len(answers)} calls: {count(answers)}",
            f"failed without an excuse: {count(unexcused) or 'none'}",
            f"grown: {', '.join(grown) or 'nothing'}",
            balance.report(),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
