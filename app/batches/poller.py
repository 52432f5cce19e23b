"""Poller: requests the progress of a batch from the upstream, and settles the batch when it has ended."""

from __future__ import annotations

import logging
from contextlib import suppress
from time import monotonic

from app.batches.records import Batch
from app.batches.settlement import BatchSettlement
from app.batches.store import BatchStore
from app.batches.submission import HOLD_S, Submission
from app.billing.ledger.ledger import Ledger
from app.config import BatchSettings
from app.models.pricing.interface import PriceList
from app.openai_service import OpenAIBatches, UpstreamBatch
from app.openai_service.errors import UpstreamError
from app.runtime import clock
from app.storage.database.connections.connection import Connection

# The maximum difference between our clock and the upstream's.
_CLOCK_SKEW_S = 3_600

log = logging.getLogger("app.batches")


class Poller:
    """Updates the rows of batches with their state at the upstream."""

    def __init__(
        self,
        settings: BatchSettings,
        upstream: OpenAIBatches,
        ledger: Ledger,
        prices: PriceList,
        store: BatchStore,
        submission: Submission,
    ) -> None:
        self._settings = settings
        self._upstream = upstream
        self._ledger = ledger
        self._prices = prices
        self._store = store
        self._submission = submission

    def advance(self, batch: Batch) -> None:
        """Update the row of a batch, which the caller must have locked.

        Settling twice changes nothing, so it does no harm if two processes do it at the same time.

        Raises:
            UpstreamError: the upstream did not answer; the row is unchanged.
        """
        deadline = monotonic() + self._settings.timeout_s
        upstream = self._retrieve(batch, deadline)
        if upstream is None:
            log.warning("batch.never_made", extra={"batch_id": batch.id})
            self._submission.void(batch)
            return
        if batch.cancel_requested_at is not None and not upstream.has_ended and upstream.status != "cancelling":
            upstream = self._cancel(upstream, batch.caller, deadline)
        if upstream.has_ended:
            self._settle(batch, upstream, deadline)
        else:
            self._store.set_status(batch.id, upstream)

    def _retrieve(self, batch: Batch, deadline: float) -> UpstreamBatch | None:
        if batch.upstream_id is None:
            return self._upstream.find(
                batch.id,
                since_s=batch.created_at // 1000 - _CLOCK_SKEW_S,
                caller=batch.caller,
                deadline=deadline,
            )
        try:
            return self._upstream.retrieve(batch.upstream_id, caller=batch.caller, deadline=deadline)
        except UpstreamError as error:
            if error.upstream_status == 404 and clock.now_ms() > batch.created_at + HOLD_S * 1000:
                # OPENAI_API_KEY may belong to another account now. The hold is charged.
                self._store.mark_lost(batch.id)
            raise

    def _cancel(self, upstream: UpstreamBatch, caller: str, deadline: float) -> UpstreamBatch:
        try:
            return self._upstream.cancel(upstream.id, caller=caller, deadline=deadline)
        except UpstreamError as error:
            if error.upstream_status not in (400, 409):
                raise
            return self._upstream.retrieve(upstream.id, caller=caller, deadline=deadline)  # it ended meanwhile

    def _settle(self, batch: Batch, upstream: UpstreamBatch, deadline: float) -> None:
        costs = BatchSettlement(batch, self._store.get_requests(batch.id))
        self._add_file(costs, upstream.output_file_id, batch.caller, deadline, are_answers=True)
        self._add_file(costs, upstream.error_file_id, batch.caller, deadline, are_answers=False)
        if costs.completed < upstream.completed or upstream.lacks_files:
            costs.add_missing()
        settlement = costs.settle(upstream, self._prices, at_ms=clock.now_ms())

        def end(connection: Connection) -> None:
            self._store.end(
                connection,
                batch.id,
                status=upstream.status,
                upstream_id=upstream.id,
                output_file_id=upstream.output_file_id,
                error_file_id=upstream.error_file_id,
                completed=costs.completed,
                failed=batch.total - costs.completed,
                cost_micro_usd=settlement.cost_micro_usd,
            )

        self._ledger.settle_also(batch.entry_id, settlement, end)
        for failure in [UpstreamError(upstream_code=upstream.error_code), *costs.failures]:
            self._upstream.note_failure(failure, model=batch.model)
        log.info(
            "batch.ended",
            extra={
                "batch_id": batch.id,
                "status": upstream.status,
                "completed": costs.completed,
                "requests": batch.total,
                "source": settlement.source,
                "upstream_id": upstream.id,
                "upstream_code": upstream.error_code,
            },
        )
        if upstream.input_file_id is not None:
            # If this fails, the upstream deletes the file after 30 days.
            with suppress(UpstreamError):
                self._upstream.delete_file(upstream.input_file_id, caller=batch.caller, deadline=deadline)

    def _add_file(
        self, costs: BatchSettlement, file_id: str | None, caller: str, deadline: float, *, are_answers: bool
    ) -> None:
        if file_id is None:
            return
        try:
            lines = self._upstream.read_lines(file_id, caller=caller, deadline=deadline)
            costs.add(lines, are_answers=are_answers)
        except UpstreamError as error:
            if error.upstream_status != 404:
                raise
            if are_answers:
                costs.add_missing()
