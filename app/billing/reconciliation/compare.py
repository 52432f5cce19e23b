"""Compare the ledger's days with OpenAI's, and attribute the differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.billing.reconciliation.ledger_side import Booked
from app.billing.reconciliation.organization import Told


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Where a difference can come from; together they are the difference. Positive: the ledger has more.

    Attributes:
        swept: calls whose worker was killed are charged what they can have used.
        estimated: so are calls whose usage was not reported.
        unpriced: calls whose price is unknown cost nothing in the ledger.
        elsewhere: the ledger has no call of this model: the key, or another of the organization, was used elsewhere.
        unknown: what is left.
    """

    swept: int = 0
    estimated: int = 0
    unpriced: int = 0
    elsewhere: int = 0
    unknown: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """The difference of a day and model."""

    day: str
    model: str
    booked: Booked
    told: Told
    tokens: Parts
    micro_usd: Parts


def compare(booked: Mapping[tuple[str, str], Booked], told: Mapping[tuple[str, str], Told]) -> list[Drift]:
    """Return each day and model that the ledger or OpenAI has, in their order."""
    drifts = []
    for day, model in sorted({*booked, *told}):
        ours, theirs = booked.get((day, model), Booked()), told.get((day, model), Told())
        unpriced = -round(theirs.micro_usd * ours.unpriced / ours.requests) if ours.requests else 0
        drifts.append(
            Drift(
                day=day,
                model=model,
                booked=ours,
                told=theirs,
                tokens=_attribute(ours, ours.tokens - theirs.tokens, ours.swept_tokens, ours.estimated_tokens),
                micro_usd=_attribute(
                    ours,
                    ours.micro_usd - theirs.micro_usd,
                    ours.swept_micro_usd,
                    ours.estimated_micro_usd,
                    unpriced,
                ),
            )
        )
    return drifts


def _attribute(ours: Booked, drift: int, swept: int, estimated: int, unpriced: int = 0) -> Parts:
    """Explain as much of a difference as each cause can, the surest first."""
    if not ours.requests:
        return Parts(elsewhere=drift)
    by_price = max(drift, unpriced) if drift < 0 else 0
    by_sweep = min(drift, swept) if drift > 0 else 0
    left = drift - by_price - by_sweep
    # An estimate may be too low as well, by no more than itself.
    by_estimate = max(-estimated, min(left, estimated))
    return Parts(swept=by_sweep, estimated=by_estimate, unpriced=by_price, unknown=left - by_estimate)
