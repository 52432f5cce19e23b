"""Read the cost of one request."""

from __future__ import annotations

from dataclasses import dataclass

from app.storage.database.database import Database

_SELECT = "SELECT settled_at, cost_micro_usd, source FROM entries WHERE request_id = ?"


@dataclass(frozen=True, slots=True)
class CallCost:
    """The cost of a request, the sum of all its attempts.

    Attributes:
        micro_usd: None if a price is unknown.
        is_estimated: whether the usage of an attempt was estimated, as the upstream did not report it.
    """

    micro_usd: int | None
    is_estimated: bool


def find_cost(database: Database, request_id: str) -> CallCost | None:
    """Return the cost of a request; None if it is not settled yet, or does not exist.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with database.read_transaction() as connection:
        rows = connection.execute(_SELECT, (request_id,)).fetchall()
    if not rows or any(settled_at is None for settled_at, _, _ in rows):
        return None
    costs = [cost for _, cost, _ in rows]
    return CallCost(
        micro_usd=None if None in costs else sum(costs),
        is_estimated=any(source == "estimated" for _, _, source in rows),
    )
