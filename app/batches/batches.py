"""Batches: submit, look after, read. Nothing of a batch is kept in this process; its row says how far it is."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import monotonic

from app.batches.output import Answers
from app.batches.records import KINDS, Batch, BatchNotEnded, BatchOwner, NewBatch, ResultsGone
from app.batches.store import BatchStore
from app.batches.submission import Submission, lease_ms
from app.batches.watching import Watching
from app.config import BatchSettings
from app.ledger import clock
from app.ledger.database import Database, StoreUnavailable
from app.ledger.ledger import Ledger
from app.ledger.price_list import PriceList
from app.ledger.records import Limit, NewEntry
from app.openai_service import OpenAIBatches, UpstreamError

# How often the upstream is asked at most because somebody asks here.
_REFRESH_MS = 3_000

log = logging.getLogger("app.batches")


@dataclass(frozen=True, slots=True)
class Round:
    """What poll() found: batches that ended, that go on, and that could not be looked after."""

    ended: int
    running: int
    failed: int


class Batches:
    """Each method raises StoreUnavailable, where the store does not answer."""

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
        self._watching = Watching(settings, upstream, ledger, prices, self._store, self._submission)

    def submit(self, new: NewBatch, entry: NewEntry, limits: Sequence[Limit]) -> Batch:
        """Hold what a batch may cost, all of it or nothing, and send it to the upstream.

        Returns:
            the batch; where the upstream left open whether it took it, `submitting`, and that will show.
        Raises:
            BatchesNotOffered: this upstream takes none.
            BodyTooLarge: as a file it would be larger than MAX_BODY_BYTES.
            BudgetExceeded, Unpriced: as for any request.
            UpstreamError: the upstream did not take it, and nothing is held.
        """
        return self._submission.submit(new, entry, limits)

    def get(self, batch_id: str, owner: BatchOwner) -> Batch | None:
        """None where there is none that the owner may see."""
        return self._store.get(batch_id, owner)

    def page(
        self, owner: BatchOwner | None, kinds: Sequence[str] = KINDS, *, limit: int, before: str | None = None
    ) -> list[Batch]:
        """The newest first of these kinds, of everybody where the owner is None."""
        return self._store.page(owner, kinds, limit=limit, before=before)

    def refreshed(self, batch: Batch) -> Batch:
        """The batch as it is now, unless the upstream was asked a moment ago, or cannot be."""
        if batch.has_ended or clock.now_ms() - batch.checked_at < _REFRESH_MS:
            return batch
        return self._looked_after(batch)

    def cancel(self, batch: Batch) -> Batch:
        """Have it end. One that has ended stays as it is."""
        if batch.has_ended or batch.cancel_requested_at is not None:
            return self.refreshed(batch)
        self._store.ask_to_cancel(batch.id)
        return self._looked_after(batch)

    def answers(self, batch: Batch) -> Answers:
        """What came of its requests, fetched from the upstream. To be closed.

        Raises:
            BatchNotEnded, ResultsGone: too early, or too late.
            UpstreamError: the upstream did not give them.
        """
        if not batch.has_ended:
            raise BatchNotEnded
        return Answers(self._store.requests(batch.id), self._lines(batch))

    def poll(self) -> Round:
        """Look after every batch that has not ended. Any number of processes may do so at once."""
        outcomes: list[str] = []
        for batch_id in self._store.open_ids():
            try:
                outcomes.append(self._look_after(batch_id))
            except StoreUnavailable:
                raise
            except Exception as error:
                # Not its text, which can hold what somebody wrote. The others are to have their turn.
                log.error("batch.bug", extra={"batch_id": batch_id, "error": type(error).__name__})
                outcomes.append("failed")
        return Round(**{name: outcomes.count(name) for name in ("ended", "running", "failed")})

    def _looked_after(self, batch: Batch) -> Batch:
        self._look_after(batch.id)
        return self._store.get(batch.id) or batch

    def _look_after(self, batch_id: str) -> str:
        batch = self._store.claim(batch_id, lease_ms=lease_ms(self._settings))
        if batch is None:
            return "running"  # somebody else is at it
        try:
            self._watching.advance(batch)
        except UpstreamError as error:
            log.warning("batch.not_asked", extra={"batch_id": batch_id, "error": type(error).__name__})
            self._store.release(batch_id)
            return "failed"
        found = self._store.get(batch_id)
        return "ended" if found is None or found.has_ended else "running"

    def _lines(self, batch: Batch) -> Iterator[bytes]:
        deadline = monotonic() + self._settings.timeout_s
        for file_id in (batch.output_file_id, batch.error_file_id):
            if file_id is None:
                continue
            try:
                yield from self._upstream.lines(file_id, deadline=deadline)
            except UpstreamError as error:
                raise ResultsGone if error.status == 404 else error from None
