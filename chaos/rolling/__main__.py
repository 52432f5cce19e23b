"""`python -m chaos.rolling`: reload or restart two nodes under load, and exit with status 1 if a client was affected."""

import argparse
import asyncio
import signal
import socket
import sqlite3
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path

from bench.procs import BenchError
from chaos.rolling.load import Load
from chaos.rolling.site import start_front, start_node
from chaos.rolling.upstream import Upstream
from chaos.server import Gunicorn

_START_S = 120.0
_ASKERS = 8
# Nginx leaves a node alone for fail_timeout after it could not connect. A second one that stops within it leaves none.
_NOTICED_S = 3.0


def main() -> int:
    """Run and print the report. Return 1 if a client was affected, or nothing could be run."""
    parser = argparse.ArgumentParser(prog="python -m chaos.rolling", description=__doc__)
    parser.add_argument("--streams", type=int, default=200, help="streams that run across the reloads (200)")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each stream takes (20)")
    parser.add_argument("--restart", action="store_true", help="stop each node and start it anew, not reload it")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all that was started is stopped
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rolling-")))
            return asyncio.run(_run(folder, stack, args))
    except BenchError as error:
        print(f"rolling: {error}")
        return 1


async def _run(folder: Path, stack: ExitStack, args: argparse.Namespace) -> int:
    upstream = await asyncio.start_server(Upstream(args.seconds).answer, "127.0.0.1", 0, backlog=1024)
    front, *ports = _free_ports(3)
    upstream_port = upstream.sockets[0].getsockname()[1]

    def start(number: int) -> Gunicorn:
        node = start_node(number, ports[number], upstream_port, folder)
        stack.callback(node.stop)
        return node

    nodes = [start(number) for number in range(len(ports))]
    stack.callback(start_front(front, ports, folder).stop)
    for node in nodes:
        await _wait_until_ready(node)

    load, must_stop = Load(front), asyncio.Event()
    running = [asyncio.create_task(load.stream()) for _ in range(args.streams)]
    asking = [asyncio.create_task(load.ask_until(must_stop)) for _ in range(_ASKERS)]
    await asyncio.sleep(1)
    for number, node in enumerate(nodes):
        if args.restart:
            await _stop(node)
            await _wait_until_ready(start(number))
            await asyncio.sleep(_NOTICED_S)
        else:
            await _reload(node)
    await asyncio.gather(*running)
    must_stop.set()
    await asyncio.gather(*asking)
    return await _judge(load, args, folder)


async def _reload(node: Gunicorn) -> None:
    before = set(node.workers())
    node.signal(signal.SIGHUP)
    await _wait(lambda: len(set(node.workers()) - before) >= len(before), node)


async def _stop(node: Gunicorn) -> None:
    node.signal(signal.SIGTERM)
    ends_at = time.monotonic() + _START_S
    while not node.has_ended():
        if time.monotonic() > ends_at:
            raise BenchError(f"a node does not end\n{node.log_tail()}")
        await asyncio.sleep(0.1)


async def _wait_until_ready(node: Gunicorn) -> None:
    await _wait(lambda: "is ready" in node.log_text(), node)


async def _wait(condition, node: Gunicorn) -> None:
    ends_at = time.monotonic() + _START_S
    while not condition():
        if node.has_ended() or time.monotonic() > ends_at:
            raise BenchError(f"a node does not come up\n{node.log_tail()}")
        await asyncio.sleep(0.1)


async def _judge(load: Load, args: argparse.Namespace, folder: Path) -> int:
    served = load.ends["done"] + load.answers["200"]
    for _ in range(50):  # the last settlements are written in the background
        with closing(sqlite3.connect(folder / "gatehouse.sqlite3")) as ledger:
            rows = dict(ledger.execute("SELECT state, COUNT(*) FROM entries GROUP BY state").fetchall())
        if rows == {"settled": served}:
            break
        await asyncio.sleep(0.2)
    faults = []
    if load.ends != {"done": args.streams}:
        faults.append("a stream did not end as it should")
    if set(load.answers) != {"200"}:
        faults.append("a request was refused")
    if rows != {"settled": served}:
        faults.append("the ledger does not have each request once, settled")
    print(f"streams   {dict(load.ends)}\nrequests  {dict(load.answers)}\nledger    {rows} of {served} served")
    print(f"rolling: {'; '.join(faults) or 'nobody noticed'}")
    return 1 if faults else 0


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


if __name__ == "__main__":
    sys.exit(main())
