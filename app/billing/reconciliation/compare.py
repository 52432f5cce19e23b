"""Compare the ledger's days with OpenAI's, and attribute the differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.billing.reconciliation.ledger_side import Booked
from app.billing.reconciliation.organization import ReportedUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The causes of a difference; they add up to it. Positive: the ledger has more than OpenAI.

    Attributes:
        swept: from calls of killed workers, which are charged the maximum that they can have used.
        estimated: from other calls whose usage was not reported; they are charged an estimate.
        unpriced: from calls whose price is unknown; they cost nothing in the ledger.
        elsewhere: from other programs, as the ledger has no call of this model: the key, or another key of the
            organization, was used elsewhere.
        unknown: the rest.
    """

    swept: int = 0
    estimated: int = 0
    unpriced: int = 0
    elsewhere: int = 0
    unknown: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """The difference for a day and model."""

    day: str
    model: str
    booked: Booked
    reported: ReportedUsage
    tokens: Parts
    micro_usd: Parts


def compare(
    booked: Mapping[tuple[str, str], Booked], reported: Mapping[tuple[str, str], ReportedUsage]
) -> list[Drift]:
    """Return the difference for each day and model that the ledger or OpenAI has, ordered by both."""
    drifts = []
    for day, model in sorted({*booked, *reported}):
        ours, theirs = booked.get((day, model), Booked()), reported.get((day, model), ReportedUsage())
        unpriced = -round(theirs.micro_usd * ours.unpriced / ours.requests) if ours.requests else 0
        drifts.append(
            Drift(
                day=day,
                model=model,
                booked=ours,
                reported=theirs,
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
    """Attribute as much of a difference to each cause as it can explain, the most certain cause first."""
    if not ours.requests:
        return Parts(elsewhere=drift)
    by_price = max(drift, unpriced) if drift < 0 else 0
    by_sweep = min(drift, swept) if drift > 0 else 0
    left = drift - by_price - by_sweep
    # An estimate may be too high or too low, in each case by at most its own amount.
    by_estimate = max(-estimated, min(left, estimated))
    return Parts(swept=by_sweep, estimated=by_estimate, unpriced=by_price, unknown=left - by_estimate)
