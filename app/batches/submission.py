"""Submission: stores the row of a batch, then submits the batch to the upstream.

If the process dies in between, the status of the row stays `submitting`. The poller then searches for the upstream's batch
by the row's id, which is sent with the batch. If it finds none, the batch was never created.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from time import monotonic

import orjson

from app.batches.records import PATHS, Batch, BatchRequest, NewBatch, SentRequest, map_running_status
from app.batches.settlement import make_custom_id
from app.batches.store import BatchStore
from app.billing.ledger.ledger import Ledger
from app.billing.ledger.records import Hold, Limit, NewEntry, Settlement
from app.config import BatchSettings
from app.models.pricing.interface import PriceList
from app.models.token_counts import cap_input
from app.models.token_counts.encodings import WorkBudget
from app.models.token_counts.estimates import bound_input, max_output_tokens
from app.openai_service import OpenAIBatches, may_exist
from app.openai_service.errors import BatchesNotOffered, BodyTooLarge, UpstreamError
from app.runtime import clock
from app.runtime.turns import in_turns
from app.storage.database.connections.connection import Connection
from app.storage.database.database import DatabaseUnavailable

HOLD_S = 7 * 86_400.0
"""A hold is charged after this time. A batch takes up to a day, and the poller may be down for some days."""

# How long after its deadline a request whose answer was lost may still create the batch.
_GRACE_S = 60.0

log = logging.getLogger("app.batches")

# The maximum work of counting unusual text in a batch: at most 0.8 s of processor time, shared in turns with other requests.
_BOUND_EFFORT = 500_000


def compute_lease_ms(settings: BatchSettings) -> int:
    """Return how long a process may lock a batch, in milliseconds."""
    return int((settings.timeout_s + _GRACE_S) * 1000)


def bound_requests(new: NewBatch) -> list[SentRequest]:
    """Return upper bounds of the tokens of each request."""
    effort = WorkBudget(_BOUND_EFFORT)
    return [_bound_request(request, new.model, effort) for request in in_turns(new.requests)]


class Submission:
    """Submits batches, and voids batches that the upstream does not have."""

    def __init__(
        self,
        settings: BatchSettings,
        upstream: OpenAIBatches,
        ledger: Ledger,
        prices: PriceList,
        store: BatchStore,
    ) -> None:
        self._settings = settings
        self._upstream = upstream
        self._ledger = ledger
        self._prices = prices
        self._store = store

    def submit(self, new: NewBatch, entry: NewEntry, limits: Sequence[Limit]) -> Batch:
        """Submit a batch: see Batches.submit()."""
        self._upstream.check(PATHS[new.kind])
        lines = self._write_lines(new)
        if len(lines) > self._settings.max_bytes:
            raise BodyTooLarge
        batch = self._record(new, entry, limits)
        deadline = monotonic() + self._settings.timeout_s
        try:
            file_id = self._upstream.upload(f"{batch.id}.jsonl", lines, caller=batch.caller, deadline=deadline)
        except (UpstreamError, BatchesNotOffered):
            self.void(batch)
            raise
        try:
            created = self._upstream.create(file_id, new.path, batch.id, caller=batch.caller, deadline=deadline)
        except UpstreamError as error:
            if may_exist(error):
                log.warning("batch.unsure", extra={"batch_id": batch.id, "error": type(error).__name__})
                return batch
            self.void(batch)
            with suppress(UpstreamError):
                self._upstream.delete_file(file_id, caller=batch.caller, deadline=deadline)
            raise
        log.info(
            "batch.submitted", extra={"batch_id": batch.id, "requests": batch.total, "upstream_id": created.id}
        )
        with suppress(DatabaseUnavailable):  # the poller will find the batch by its reference
            self._store.set_status(batch.id, created)
        return replace(batch, status=map_running_status(created), upstream_id=created.id)

    def _write_lines(self, new: NewBatch) -> bytes:
        """Return the requests as lines of the upstream's file format."""
        return b"".join(
            orjson.dumps(
                {
                    "custom_id": make_custom_id(index),
                    "method": "POST",
                    "url": f"/v1{new.path}",
                    "body": self._upstream.build_body(new.path, new.model, request.body),
                },
                option=orjson.OPT_APPEND_NEWLINE,
            )
            for index, request in enumerate(in_turns(new.requests))
        )

    def void(self, batch: Batch) -> None:
        """Settle a batch that the upstream does not have, at no cost. If the database is down, the poller does it later."""
        free = Settlement(outcome="upstream_error", source="reported", cost_micro_usd=0, tokens=0)

        def end(connection: Connection) -> None:
            self._store.end(connection, batch.id, status="failed", failed=batch.total, cost_micro_usd=0)

        with suppress(DatabaseUnavailable):
            self._ledger.settle_also(batch.entry_id, free, end)

    def _record(self, new: NewBatch, entry: NewEntry, limits: Sequence[Limit]) -> Batch:
        """Store the batch's row and its hold in one transaction."""
        requests = bound_requests(new)
        bounds = [(sent.max_input_tokens, sent.max_output_tokens) for sent in requests]
        now = clock.now_ms()
        batch = Batch(
            id=f"batch_{now:012x}{secrets.token_hex(8)}",
            entry_id="",
            tenant=entry.tenant,
            user=entry.user,
            kind=new.kind,
            model=new.model,
            status="submitting",
            total=len(requests),
            created_at=now,
            checked_at=now,
        )

        def add(connection: Connection, hold: Hold) -> None:
            held = replace(batch, entry_id=hold.id)
            self._store.add(connection, held, requests, busy_until=now + compute_lease_ms(self._settings))

        hold = self._ledger.hold(
            entry,
            limits,
            micro_usd=self._prices.batch_bound_micro_usd(new.model, bounds),
            tokens=sum(map(sum, bounds)),
            lease_s=HOLD_S,
            also=add,
        )
        return replace(batch, entry_id=hold.id)


def _bound_request(request: BatchRequest, model: str, effort: WorkBudget) -> SentRequest:
    output_tokens = max_output_tokens(request.body)
    texts = request.body.get("input")
    inputs = len(texts) if isinstance(texts, list) else 1
    input_tokens = cap_input(bound_input(request.body, model, work=effort), model, output_tokens, inputs)
    return SentRequest(request.id, input_tokens, output_tokens, request.answer_format)
