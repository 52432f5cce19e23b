"""Read the ledger's days, and how much of them is uncertain."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from app.billing.ledger.reports import Reports
from app.billing.reconciliation.organization import strip_snapshot
from app.runtime.periods import DAY_MS, get_day, get_start_ms
from app.storage.database.database import Database

_READ_S = 60.0
_UNCERTAIN = """
SELECT coalesce(nullif(served_model, ''), model), CASE outcome WHEN 'expired' THEN 1 ELSE 0 END,
    sum(tokens), sum(coalesce(cost_micro_usd, 0))
FROM entries WHERE id >= ? AND id < ? AND state = 'settled' AND source = 'estimated'
GROUP BY 1, 2
"""


@dataclass(slots=True)
class Booked:
    """What the ledger has for a day and model.

    Attributes:
        requests: number of requests, of which `unpriced` have no known cost.
        swept_tokens, swept_micro_usd: the part charged to calls of killed workers, the maximum that they can have used.
        estimated_tokens, estimated_micro_usd: the part charged to other calls whose usage was not reported.
    """

    requests: int = 0
    unpriced: int = 0
    tokens: int = 0
    micro_usd: int = 0
    swept_tokens: int = 0
    swept_micro_usd: int = 0
    estimated_tokens: int = 0
    estimated_micro_usd: int = 0


def read_booked(
    database: Database, reports: Reports, first_day: str, last_day: str
) -> dict[tuple[str, str], Booked]:
    """Return what the ledger has, by day and model. The uncertain parts are those of rows that are not pruned yet.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    booked: defaultdict[tuple[str, str], Booked] = defaultdict(Booked)
    for total in reports.totals(("day", "model"), first_day=first_day, last_day=last_day):
        day, model = total.group
        row = booked[day, strip_snapshot(model)]
        row.requests += total.requests
        row.unpriced += total.unpriced
        row.tokens += total.tokens
        row.micro_usd += total.cost_micro_usd
    at_ms = get_start_ms(first_day)
    while at_ms <= get_start_ms(last_day):
        _add_uncertain(database, at_ms, booked)
        at_ms += DAY_MS
    return dict(booked)


def _add_uncertain(database: Database, start_ms: int, booked: defaultdict[tuple[str, str], Booked]) -> None:
    """Add the amounts of a day's rows whose usage was not reported."""
    day = get_day(start_ms)
    with database.read_transaction(_READ_S) as connection:
        day_ids = (f"{start_ms:012x}", f"{start_ms + DAY_MS:012x}")  # they begin with the time
        rows = connection.execute(_UNCERTAIN, day_ids).fetchall()
    for name, swept, tokens, micro_usd in rows:
        row = booked[day, strip_snapshot(name)]
        if swept:
            row.swept_tokens += int(tokens)
            row.swept_micro_usd += int(micro_usd)
        else:
            row.estimated_tokens += int(tokens)
            row.estimated_micro_usd += int(micro_usd)
