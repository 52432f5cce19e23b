"""Add up what the requests of a batch cost, and make its settlement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from app.batches.records import Batch, SentRequest
from app.ledger.records import Settlement
from app.openai_service import OutputLine, UpstreamBatch, read_line
from app.pricing.interface import PriceList
from app.token_counts import FIGURES, Usage

_OUTCOMES = {
    "completed": "complete",
    "failed": "rejected",
    "expired": "upstream_timeout",
    "cancelled": "cancelled",
}


class BatchSettlement:
    """Counts each request once, whatever the files say.

    An answered request costs what its answer reports. One whose answer cannot be read costs its upper bound. One
    without an answer costs nothing.
    """

    def __init__(self, batch: Batch, requests: Sequence[SentRequest]) -> None:
        self._batch = batch
        self._requests = requests
        self._usages: dict[int, tuple[str, Usage]] = {}
        self._unanswered: set[int] = set()
        self._estimated: set[int] = set()
        self._is_whole = True
        self.completed = 0

    def add(self, lines: Iterable[bytes], *, are_answers: bool) -> None:
        """Count the lines of a file, of answers or of errors."""
        for text in lines:
            line = read_line(text)
            place = None if line is None else parse_custom_id(line.custom_id, len(self._requests))
            if line is None or place is None:
                # It may be the answer to any of the missing requests.
                self._is_whole = self._is_whole and not are_answers
            elif place not in self._usages and place not in self._unanswered:
                self._count(place, line)

    def add_missing(self) -> None:
        """Record that the answers are lost."""
        self._is_whole = False

    def settlement(self, upstream: UpstreamBatch, prices: PriceList, *, at_ms: int) -> Settlement:
        """Return the settlement, once all files are counted."""
        for place in self._iter_lost():
            self._usages[place] = self._upper_bound(place)
            self._estimated.add(place)
        usages = list(self._usages.values())
        sums = {name: sum(getattr(usage, name) or 0 for _, usage in usages) for name in FIGURES}
        return Settlement(
            outcome=_OUTCOMES[upstream.status],
            source="estimated" if self._estimated else "reported",
            model=next(
                (model for place, (model, _) in self._usages.items() if place not in self._estimated), None
            ),
            **sums,
            cost_micro_usd=prices.batch_cost_micro_usd([self._price(*usage, prices) for usage in usages]),
            price_version=prices.version,
            attempts=1,
            total_ms=at_ms - self._batch.created_at,
        )

    def _price(self, model: str, usage: Usage, prices: PriceList) -> tuple[str, Usage]:
        """Price a usage, by the requested model if the upstream's name of the serving model has no price."""
        is_known = prices.batch_cost_micro_usd([(model, usage)]) is not None
        return (model if is_known else self._batch.model), usage

    def _count(self, place: int, line: OutputLine) -> None:
        if line.status != 200:
            self._unanswered.add(place)
            return
        self.completed += 1
        body = line.body if isinstance(line.body, dict) else {}
        usage, model = Usage.parse(body.get("usage")), body.get("model")
        if usage is not None and usage.is_reported:
            self._usages[place] = (model if isinstance(model, str) and model else self._batch.model, usage)
        else:
            self._usages[place] = self._upper_bound(place)
            self._estimated.add(place)

    def _iter_lost(self) -> Iterator[int]:
        """Yield the requests without a result, if some answers could not be read."""
        if not self._is_whole:
            yield from set(range(len(self._requests))) - self._unanswered - self._usages.keys()

    def _upper_bound(self, place: int) -> tuple[str, Usage]:
        sent = self._requests[place]
        return self._batch.model, Usage(prompt_tokens=sent.most_input, completion_tokens=sent.max_output_tokens)


def make_custom_id(place: int) -> str:
    """Return a request's id at the upstream: its index. The client's id is not sent."""
    return f"request-{place}"


def parse_custom_id(name: str, total: int) -> int | None:
    """Return the index in a custom id; None if it is not one of ours."""
    digits = name.removeprefix("request-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        return None
    place = int(digits)
    return place if place < total and make_custom_id(place) == name else None
