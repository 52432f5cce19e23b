"""Read and write the rows of batches. Each method is a transaction, unless it is given a connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, case, insert, select, update

from app.batches.records import Batch, BatchOwner, SentRequest, map_running_status
from app.batches.tables import batches
from app.database.database import Database
from app.openai_service import UpstreamBatch
from app.runtime import clock

_COLUMNS = [column for column in batches.c if column.name not in ("requests", "busy_until")]


class BatchStore:
    """The rows of batches. Every method may raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, connection: Connection, batch: Batch, requests: Sequence[SentRequest], *, busy_until: int
    ) -> None:
        """Insert a batch, as part of the caller's transaction."""
        connection.execute(
            insert(batches).values(
                id=batch.id,
                entry_id=batch.entry_id,
                tenant=batch.tenant,
                user_id=batch.user,
                kind=batch.kind,
                model=batch.model,
                status=batch.status,
                requests=_dump_requests(requests),
                total=batch.total,
                created_at=batch.created_at,
                checked_at=batch.checked_at,
                busy_until=busy_until,
            )
        )

    def get(self, batch_id: str, owner: BatchOwner | None = None) -> Batch | None:
        """Return a batch; None if it does not exist or belongs to another owner."""
        query = select(*_COLUMNS).where(batches.c.id == batch_id, *_visible_to(owner))
        with self._database.read_transaction() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _batch_from_row(row)

    def get_requests(self, batch_id: str) -> list[SentRequest]:
        """Return the requests of a batch as stored, in order."""
        with self._database.read_transaction() as connection:
            text = connection.execute(select(batches.c.requests).where(batches.c.id == batch_id)).scalar_one()
        return _load_requests(text)

    def list_page(
        self, owner: BatchOwner | None, kinds: Sequence[str], *, limit: int, before: str | None = None
    ) -> list[Batch]:
        """Return a page of batches, newest first. If `before` is given, the page begins after that batch."""
        query = select(*_COLUMNS).where(*_visible_to(owner), batches.c.kind.in_(kinds))
        query = query.order_by(batches.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(batches.c.id < before)
        with self._database.read_transaction() as connection:
            return [_batch_from_row(row) for row in connection.execute(query)]

    def find_open(self, upstream_id: str) -> str | None:
        """Return the id of the open batch that has this id at the upstream, if any."""
        query = select(batches.c.id).where(batches.c.ended_at.is_(None), batches.c.upstream_id == upstream_id)
        with self._database.read_transaction() as connection:
            return connection.execute(query).scalar()

    def list_open_ids(self) -> list[str]:
        """Return the ids of all open batches, the least recently checked one first."""
        query = select(batches.c.id).where(batches.c.ended_at.is_(None)).order_by(batches.c.checked_at)
        with self._database.read_transaction() as connection:
            return list(connection.execute(query).scalars())

    def claim(self, batch_id: str, *, lease_ms: int) -> Batch | None:
        """Lock an open batch for this process. Return None if it has ended or another process holds it."""
        now = clock.now_ms()
        change = (
            update(batches)
            .where(batches.c.id == batch_id, batches.c.ended_at.is_(None), batches.c.busy_until <= now)
            .values(busy_until=now + lease_ms)
        )
        with self._database.transaction() as connection:
            if connection.execute(change).rowcount == 0:
                return None
            return _batch_from_row(connection.execute(select(*_COLUMNS).where(batches.c.id == batch_id)).one())

    def release(self, batch_id: str) -> None:
        """Unlock a batch without a change, after the upstream did not answer."""
        self._change(batch_id, busy_until=0, checked_at=clock.now_ms())

    def mark_lost(self, batch_id: str) -> None:
        """Mark a batch as failed whose outcome will never be known."""
        with self._database.transaction() as connection:
            self.end(connection, batch_id, status="failed")

    def set_status(self, batch_id: str, upstream: UpstreamBatch) -> None:
        """Store the upstream's progress and unlock the batch. The end is stored by end()."""
        self._change(
            batch_id,
            # A batch is `cancelling` as soon as that was requested.
            status=case(
                (batches.c.cancel_requested_at.is_(None), map_running_status(upstream)), else_="cancelling"
            ),
            upstream_id=upstream.id,
            completed=upstream.completed,
            failed=upstream.failed,
            checked_at=clock.now_ms(),
            busy_until=0,
        )

    def request_cancel(self, batch_id: str) -> None:
        """Store the request to cancel a batch."""
        self._change(batch_id, cancel_requested_at=clock.now_ms(), status="cancelling")

    def end(self, connection: Connection, batch_id: str, **values: Any) -> None:
        """Store the outcome of a batch, once, as part of the caller's transaction."""
        now = clock.now_ms()
        connection.execute(
            update(batches)
            .where(batches.c.id == batch_id, batches.c.ended_at.is_(None))
            .values(ended_at=now, checked_at=now, busy_until=0, **values)
        )

    def _change(self, batch_id: str, **values: Any) -> None:
        """Update a batch. One that has ended does not change."""
        change = update(batches).where(batches.c.id == batch_id, batches.c.ended_at.is_(None)).values(**values)
        with self._database.transaction() as connection:
            connection.execute(change)


def _dump_requests(requests: Sequence[SentRequest]) -> str:
    """Return the requests as JSON, in which each format of answers is written once: that may be a large schema."""
    places: dict[str, int] = {}
    for sent in requests:
        if sent.answer_format:
            places.setdefault(sent.answer_format, len(places))
    rows: list[list[Any]] = [[sent.id, sent.max_input_tokens, sent.max_output_tokens] for sent in requests]
    if not places:
        return orjson.dumps(rows).decode()
    for row, sent in zip(rows, requests, strict=True):
        row.append(places[sent.answer_format])
    return orjson.dumps({"requests": rows, "formats": list(places)}).decode()


def _load_requests(text: str) -> list[SentRequest]:
    stored = orjson.loads(text)
    if isinstance(stored, list):
        return [SentRequest(*row) for row in stored]
    formats = stored["formats"]
    return [SentRequest(id_, input_, output, formats[place]) for id_, input_, output, place in stored["requests"]]


def _visible_to(owner: BatchOwner | None) -> list[Any]:
    if owner is None:
        return []
    conditions = ((batches.c.tenant, owner.tenant), (batches.c.user_id, owner.user))
    return [column == value for column, value in conditions if value is not None]


def _batch_from_row(row: Any) -> Batch:
    values = dict(row._mapping)
    return Batch(user=values.pop("user_id"), **values)
