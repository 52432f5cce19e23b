"""BatchSettlement: computes the settlement of a batch from the usage of its requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from app.batches.records import Batch, SentRequest
from app.billing.ledger.records import Settlement
from app.models.pricing.interface import PriceList
from app.models.token_counts import FIGURES, Usage
from app.openai_service import OutputLine, UpstreamBatch, read_line
from app.openai_service.errors import UpstreamError

_MAX_FAILURES = 10
_OUTCOMES = {
    "completed": "complete",
    "failed": "rejected",
    "expired": "upstream_timeout",
    "cancelled": "cancelled",
}


class BatchSettlement:
    """Adds up the cost of a batch. Each request counts once, even if the files repeat it.

    An answered request costs the usage that its answer reports. A request whose answer cannot be read costs its upper
    bound. A request without an answer costs nothing.
    """

    def __init__(self, batch: Batch, requests: Sequence[SentRequest]) -> None:
        self._batch = batch
        self._requests = requests
        self._usages: dict[int, tuple[str, Usage]] = {}
        self._unanswered: set[int] = set()
        self._estimated: set[int] = set()
        self._is_complete = True
        self.completed = 0
        self.failures: list[UpstreamError] = []
        """The errors of the first failed requests."""

    def add(self, lines: Iterable[bytes], *, are_answers: bool) -> None:
        """Count the lines of a file, either of answers or of errors."""
        for text in lines:
            line = read_line(text)
            index = None if line is None else parse_custom_id(line.custom_id, len(self._requests))
            if line is None or index is None:
                # The line may belong to any request without a result.
                self._is_complete = self._is_complete and not are_answers
            elif index not in self._usages and index not in self._unanswered:
                self._count(index, line)

    def add_missing(self) -> None:
        """Record that the answers are lost."""
        self._is_complete = False

    def settle(self, upstream: UpstreamBatch, prices: PriceList, *, at_ms: int) -> Settlement:
        """Return the settlement, after all files have been counted."""
        for index in self._find_lost():
            self._usages[index] = self._upper_bound(index)
            self._estimated.add(index)
        usages = list(self._usages.values())
        sums = {name: sum(getattr(usage, name) or 0 for _, usage in usages) for name in FIGURES}
        return Settlement(
            outcome=_OUTCOMES[upstream.status],
            source="estimated" if self._estimated else "reported",
            model=next(
                (model for index, (model, _) in self._usages.items() if index not in self._estimated), None
            ),
            **sums,
            cost_micro_usd=prices.batch_cost_micro_usd(
                [self._choose_priced_model(*usage, prices) for usage in usages]
            ),
            price_version=prices.version,
            attempts=1,
            total_ms=at_ms - self._batch.created_at,
        )

    def _choose_priced_model(self, model: str, usage: Usage, prices: PriceList) -> tuple[str, Usage]:
        """Return a usage and the model to price it by: the one that served, or the requested one if that has no price."""
        is_known = prices.batch_cost_micro_usd([(model, usage)]) is not None
        return (model if is_known else self._batch.model), usage

    def _count(self, index: int, line: OutputLine) -> None:
        if line.status != 200:
            self._unanswered.add(index)
            if len(self.failures) < _MAX_FAILURES:
                self.failures.append(line.read_failure())
            return
        self.completed += 1
        body = line.body if isinstance(line.body, dict) else {}
        usage = Usage.parse(body.get("usage"), has_output=self._batch.kind != "embeddings", wrote=line.has_text)
        requested, bound = self._upper_bound(index)
        served = body.get("model")
        model = served if isinstance(served, str) and served else requested
        if usage is None:
            self._usages[index] = (requested, bound)
        else:
            self._usages[index] = (model, usage if usage.is_reported else usage.complete(bound))
        if usage is None or not usage.is_reported:
            self._estimated.add(index)

    def _find_lost(self) -> Iterator[int]:
        """Yield the indexes of requests without a result, if some answers could not be read."""
        if not self._is_complete:
            yield from set(range(len(self._requests))) - self._unanswered - self._usages.keys()

    def _upper_bound(self, index: int) -> tuple[str, Usage]:
        sent = self._requests[index]
        return self._batch.model, Usage(
            prompt_tokens=sent.max_input_tokens, completion_tokens=sent.max_output_tokens
        )


def make_custom_id(index: int) -> str:
    """Return the request's id for the upstream, which contains its index. The client's id is not sent."""
    return f"request-{index}"


def parse_custom_id(name: str, total: int) -> int | None:
    """Return the index in a custom id; None if the id was not made by make_custom_id()."""
    digits = name.removeprefix("request-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        return None
    index = int(digits)
    return index if index < total and make_custom_id(index) == name else None
