"""Compare what the ledger charged with what the upstream billed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.billing.ledger.ledger import Ledger
from app.runtime import clock
from app.storage.database.database import open_database
from chaos.killing.load import address_of
from chaos.killing.upstream import Bill, BillingUpstream
from chaos.run import say

_LATER_MS = 3_600_000


@dataclass
class Part:
    """A part of the calls."""

    rows: int = 0
    charged: int = 0
    billed: int = 0

    def add(self, charged: int, billed: int) -> None:
        self.rows += 1
        self.charged += charged
        self.billed += billed

    def __str__(self) -> str:
        ratio = f"{self.charged / self.billed:.3f}" if self.billed else "-"
        return f"{self.rows:6} rows  {self.charged:10} charged  {self.billed:10} billed  ratio {ratio}"


class Balance:
    """The result of a run."""

    def __init__(
        self,
        rows: Iterable[Mapping[str, Any]],
        bills: Mapping[str, list[Bill]],
        held: int,
        refused: Sequence[str] = (),
    ) -> None:
        self.held = held
        self.refused = Counter(refused)
        by_user: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            by_user.setdefault(row["user_id"], []).append(row)
        self.doubled = sum(len(found) > 1 for found in by_user.values())
        billed = {f"address:{address_of(int(number))}": found for number, found in bills.items()}
        self.lost = len(billed.keys() - by_user.keys())
        self.undercharged: list[str] = []
        self.parts: dict[str, Part] = {}
        for user, found in by_user.items():
            for row in found:
                self._add(row, billed.get(user, []))

    def _add(self, row: Mapping[str, Any], bills: list[Bill]) -> None:
        charged, billed = row["cost_micro_usd"] or 0, sum(bill.micro_usd for bill in bills)
        kind = "streams" if row["route"].endswith("/stream") else "plain"
        is_swept = row["outcome"] == "expired"
        if charged < billed:
            self.undercharged.append(f"{row['outcome']} {kind}: {charged} of {billed}")
        names = ["all", f"swept, {kind}" if is_swept else "settled"]
        if is_swept:
            names.append("swept")
        for name in names:
            self.parts.setdefault(name, Part()).add(charged, billed)

    @property
    def is_sound(self) -> bool:
        """Whether no charge is missing, doubled, held forever or too low, and OpenAI would refuse no request."""
        return not (self.lost or self.doubled or self.held or self.undercharged or self.refused)

    def report(self) -> str:
        lines = [f"{name:14} {self.parts[name]}" for name in sorted(self.parts)]
        return "\n".join(
            [
                f"lost {self.lost}, doubled {self.doubled}, still held {self.held}",
                f"refused by OpenAI: {self.refused or 'none'}",
                f"charged too little: {Counter(self.undercharged) or 'none'}",
                *lines,
            ]
        )


def settle(url: str, data_dirs: Sequence[Path], upstream: BillingUpstream) -> Balance:
    """Sweep as if all leases had expired, with the journal of each folder, and read the ledger."""
    now_ms = clock.now_ms
    clock.now_ms = lambda: now_ms() + _LATER_MS
    with closing(open_database(url, data_dirs[0].parent)) as database:
        swept = sum(Ledger(database, folder).sweep() for folder in data_dirs)
        say(f"{swept} swept")
        with database.read_transaction() as connection:
            rows = connection.fetch_rows("SELECT * FROM entries")
            held = connection.fetch_value("SELECT coalesce(sum(held_micro_usd), 0) FROM accounts")
    return Balance(rows, upstream.bills, int(held or 0), upstream.refused)
