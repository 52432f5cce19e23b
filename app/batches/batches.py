"""Batches: submits, polls, reads and cancels batches. All state is in the database, none in the process."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import monotonic

from app.batches.poller import Poller
from app.batches.records import KINDS, Batch, BatchNotEnded, BatchOwner, NewBatch, ResultsGone
from app.batches.results import BatchResults
from app.batches.store import BatchStore
from app.batches.submission import Submission, bound_requests, compute_lease_ms
from app.billing.ledger.ledger import Ledger
from app.billing.ledger.records import Limit, NewEntry
from app.config import BatchSettings
from app.models.pricing.interface import PriceList
from app.openai_service import OpenAIBatches
from app.openai_service.errors import UpstreamError
from app.runtime import clock
from app.storage.database.database import Database, DatabaseUnavailable

# The minimum time between two requests to the upstream for the state of a batch that clients request.
_MIN_REFRESH_MS = 3_000

log = logging.getLogger("app.batches")


@dataclass(frozen=True, slots=True)
class PollResult:
    """The result of poll(): how many batches have ended, are still open, or could not be checked."""

    ended: int
    running: int
    failed: int


class Batches:
    """The batches of all users. Every method raises DatabaseUnavailable if the database is unavailable."""

    def __init__(
        self,
        settings: BatchSettings,
        upstream: OpenAIBatches,
        database: Database,
        ledger: Ledger,
        prices: PriceList,
    ) -> None:
        self._settings = settings
        self._upstream = upstream
        self._store = BatchStore(database)
        self._submission = Submission(settings, upstream, ledger, prices, self._store)
        self._poller = Poller(settings, upstream, ledger, prices, self._store, self._submission)

    def bound_tokens(self, new: NewBatch) -> int:
        """Return the maximum number of tokens of all requests of a batch."""
        return sum(sent.max_input_tokens + sent.max_output_tokens for sent in bound_requests(new))

    def submit(self, new: NewBatch, entry: NewEntry, limits: Sequence[Limit]) -> Batch:
        """Reserve the maximum cost of a batch and submit it to the upstream.

        Returns:
            the batch. Its status is `submitting` if the upstream's answer was lost; poll() updates it.

        Raises:
            BatchesNotOffered: this upstream has no Batch API.
            BodyTooLarge: its file would exceed MAX_BODY_BYTES.
            BudgetExceeded, Unpriced: as for other requests.
            UpstreamError: the upstream did not accept it; nothing is reserved.
        """
        return self._submission.submit(new, entry, limits)

    def get(self, batch_id: str, owner: BatchOwner) -> Batch | None:
        """Return a batch; None if it does not exist or belongs to another owner."""
        return self._store.get(batch_id, owner)

    def list_page(
        self, owner: BatchOwner | None, kinds: Sequence[str] = KINDS, *, limit: int, before: str | None = None
    ) -> list[Batch]:
        """Return batches of these kinds, newest first; those of all users if the owner is None."""
        return self._store.list_page(owner, kinds, limit=limit, before=before)

    def refresh(self, batch: Batch) -> Batch:
        """Return the current state of a batch. Update it from the upstream unless that was done a moment ago."""
        if batch.has_ended or clock.now_ms() - batch.checked_at < _MIN_REFRESH_MS:
            return batch
        return self._try_advance(batch)

    def cancel(self, batch: Batch) -> Batch:
        """Cancel a batch at the upstream. A batch that has ended does not change."""
        if batch.has_ended or batch.cancel_requested_at is not None:
            return self.refresh(batch)
        self._store.request_cancel(batch.id)
        return self._try_advance(batch)

    def read_results(self, batch: Batch) -> BatchResults:
        """Download the results of a batch. Close them after use.

        Raises:
            BatchNotEnded: the batch has no results yet.
            ResultsGone: the upstream has deleted the results.
            UpstreamError: the upstream did not return the results.
        """
        if not batch.has_ended:
            raise BatchNotEnded
        return BatchResults(self._store.get_requests(batch.id), self._read_lines(batch))

    def poll(self) -> PollResult:
        """Update all open batches. Several processes may call this at the same time."""
        outcomes: list[str] = []
        for batch_id in self._store.list_open_ids():
            try:
                outcomes.append(self._advance(batch_id))
            except DatabaseUnavailable:
                raise
            except Exception as error:
                # The error's text is not logged: it can contain user content. The other batches are still updated.
                log.error("batch.bug", extra={"batch_id": batch_id, "error": type(error).__name__})
                outcomes.append("failed")
        return PollResult(**{name: outcomes.count(name) for name in ("ended", "running", "failed")})

    def settle_reported(self, upstream_id: str) -> None:
        """Update a batch that the upstream reports as ended. Ignore batches that are unknown or settled.

        Raises:
            BatchNotEnded: the upstream could not be reached, or another process is updating the batch.
        """
        batch_id = self._store.find_open(upstream_id)
        if batch_id is not None and self._advance(batch_id) != "ended":
            raise BatchNotEnded

    def _try_advance(self, batch: Batch) -> Batch:
        self._advance(batch.id)
        return self._store.get(batch.id) or batch

    def _advance(self, batch_id: str) -> str:
        batch = self._store.claim(batch_id, lease_ms=compute_lease_ms(self._settings))
        if batch is None:
            return "running"  # another process is updating it
        try:
            self._poller.advance(batch)
        except UpstreamError as error:
            log.warning("batch.not_asked", extra={"batch_id": batch_id, "error": type(error).__name__})
            self._store.release(batch_id)
            return "failed"
        current = self._store.get(batch_id)
        return "ended" if current is None or current.has_ended else "running"

    def _read_lines(self, batch: Batch) -> Iterator[bytes]:
        deadline = monotonic() + self._settings.timeout_s
        for file_id in (batch.output_file_id, batch.error_file_id):
            if file_id is None:
                continue
            try:
                yield from self._upstream.read_lines(file_id, caller=batch.caller, deadline=deadline)
            except UpstreamError as error:
                raise ResultsGone if error.upstream_status == 404 else error from None
