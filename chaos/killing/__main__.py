"""`python -m chaos.killing`: kill workers under load, and exit with status 1 if the charges are wrong."""

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.procs import running
from bench.targets import free_port
from chaos.killing.balance import Balance, settle
from chaos.killing.load import Load
from chaos.killing.upstream import MODEL, PRICES, BillingUpstream
from chaos.run import say, until_ready
from chaos.server import Gunicorn
from chaos.settings import Settings, environment


def main(argv: Sequence[str] | None = None) -> int:
    """Run and print the report. Return 1 if a row is missing, doubled, held forever or charged too little, or OpenAI would refuse a request."""
    parser = argparse.ArgumentParser(prog="python -m chaos.killing", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S", help="of load (default 60)")
    parser.add_argument("--callers", type=int, default=32, metavar="N", help="at once (default 32)")
    parser.add_argument("--kill-every", type=float, default=12.0, metavar="S", help="on average (default 12)")
    parser.add_argument("--max-tokens", type=int, default=8192, metavar="N", help="MAX_TOKENS (default 8192)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the random numbers (default 1)")
    args = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all that was started is stopped
    with tempfile.TemporaryDirectory(prefix="storm-") as folder:
        balance = asyncio.run(_run(args, Path(folder)))
    print(balance.report())
    return 0 if balance.is_sound else 1


async def _run(args: argparse.Namespace, folder: Path) -> Balance:
    upstream = BillingUpstream(args.seed)
    await upstream.start()
    port, state = free_port(), folder / "state"
    state.mkdir()
    (folder / "prices.toml").write_text(PRICES)
    settings = environment(Settings(), port, upstream.port, state) | {
        "CHAT_MODEL": MODEL,
        "CHAT_FALLBACK_MODELS": ",",  # none
        "REQUEST_TIMEOUT_S": "30",
        "FIRST_TOKEN_TIMEOUT_S": "10",
        "BREAKER_FAILURES": "1000",
        "MAX_CONCURRENT_STREAMS": "1000",
        "MAX_TOKENS": str(args.max_tokens),
        "USER_BUDGET_USD": "10",
        "PRICES_FILE": str(folder / "prices.toml"),
        "DATA_DIR": str(folder / "data"),
        "DATABASE_URL": f"sqlite:///{state}/ledger.sqlite3",
    }
    server = Gunicorn(folder / "log", settings)
    load = Load(port, args.seed)
    with running(server):
        await until_ready(server, port)
        await load.run(server, callers=args.callers, seconds=args.seconds, kill_every_s=args.kill_every)
    await asyncio.sleep(10)  # answers in one piece are written to their end
    say(f"{load.sent} asked, {load.kills} workers killed")
    return settle(settings["DATABASE_URL"], [folder / "data"], upstream)


if __name__ == "__main__":
    sys.exit(main())
