"""Kill processes amid their deliveries, and see that nothing was lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

if "app" not in sys.modules:  # in a process that delivers, which does without the rest of the application
    sys.modules["app"] = types.ModuleType("app")
    sys.modules["app"].__path__ = [str(Path(__file__).parents[3] / "app")]

from app.billing.ledger.backlog import count_backlogs
from app.billing.ledger.ledger import Ledger
from app.billing.ledger.records import NewEntry, Settlement
from app.billing.outbox import queue as queues
from app.billing.outbox.delivery import deliver
from app.billing.outbox.queue import OutboxQueue
from app.billing.outbox.webhook import UsageWebhook
from app.storage.database.database import open_database
from tests.billing.outbox.receiver import Receiver

ROOT = Path(__file__).parents[3]
SECRET = "whsec_" + "a" * 32
_ENTRY = NewEntry("r", "acme", "ann", None, "/api/chat", "chat", "m")
_DONE = Settlement(outcome="complete", source="reported", cost_micro_usd=1, prompt_tokens=1)


class Told(NamedTuple):
    """What a receiver heard: of how many rows, and how often of one that it knew."""

    rows: int
    repeats: int


def kill_deliveries(database_url: str, folder: Path, *, times: int, rows_each: int = 60) -> Told:
    """Settle rows, and kill the process that tells of them, so many times; then tell of the rest."""
    database = open_database(database_url, folder)
    database.migrate()
    ledger = Ledger(database, folder / "journal", outbox_targets=("webhook",))

    def settle() -> str:
        hold = ledger.hold(_ENTRY, [], micro_usd=1, tokens=1, lease_s=60)
        ledger.settle(hold, _DONE)
        return hold.id

    with Receiver() as receiver, closing(database):
        receiver.answer = lambda _: (time.sleep(0.002), (200, b""))[1]
        settled = set()
        for number in range(times):
            settled |= {settle() for _ in range(rows_each)}
            before = receiver.heard.total()
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.billing.outbox.kills", database_url, receiver.url], cwd=ROOT
            )
            # At another place of a round each time.
            _wait_until(lambda goal=before + 1 + number * 7 % (rows_each - 5): receiver.heard.total() >= goal)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        with closing(UsageWebhook(receiver.url, SECRET)) as webhook:
            deliver(OutboxQueue(database), webhook)

        assert set(receiver.heard) == settled, "each is told, under an id that tells repeats"
        assert sum(each.waiting + each.given_up for each in count_backlogs(database)) == 0
        # A killed process had no more under way than a round.
        assert receiver.heard.total() <= len(settled) + times * 50
        return Told(len(settled), receiver.heard.total() - len(settled))


def _wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def _deliver_for_ever(database_url: str, receiver_url: str) -> None:
    database = open_database(database_url, Path())
    with closing(UsageWebhook(receiver_url, SECRET)) as webhook:
        while True:
            deliver(OutboxQueue(database), webhook)
            time.sleep(0.01)


if __name__ == "__main__":
    # That of a killed process would have to run out first; nobody else is there in the meantime.
    queues.LEASE_S = 0.0
    _deliver_for_ever(*sys.argv[1:])
