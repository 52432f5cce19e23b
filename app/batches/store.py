"""BatchStore: the rows of batches. Each method is one transaction and raises StoreUnavailable, if no more is said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, case, insert, select, update

from app.batches.records import Batch, BatchOwner, Sent, running_status
from app.batches.tables import batches
from app.ledger.database import Database
from app.openai_service import UpstreamBatch
from app.runtime import clock

_COLUMNS = [column for column in batches.c if column.name not in ("requests", "busy_until")]


class BatchStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, connection: Connection, batch: Batch, requests: Sequence[Sent], *, busy_until: int) -> None:
        """A part of the caller's own transaction."""
        connection.execute(
            insert(batches).values(
                id=batch.id,
                entry_id=batch.entry_id,
                tenant=batch.tenant,
                user_id=batch.user,
                kind=batch.kind,
                model=batch.model,
                status=batch.status,
                requests=orjson.dumps(
                    [[sent.id, sent.most_input, sent.most_output] for sent in requests]
                ).decode(),
                total=batch.total,
                created_at=batch.created_at,
                checked_at=batch.checked_at,
                busy_until=busy_until,
            )
        )

    def get(self, batch_id: str, owner: BatchOwner | None = None) -> Batch | None:
        """None where there is none, or the owner may not see it."""
        query = select(*_COLUMNS).where(batches.c.id == batch_id, *_seen_by(owner))
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _batch_of(row)

    def requests(self, batch_id: str) -> list[Sent]:
        """What is known of each request, in their order."""
        with self._database.reading() as connection:
            text = connection.execute(select(batches.c.requests).where(batches.c.id == batch_id)).scalar_one()
        return [Sent(*sent) for sent in orjson.loads(text)]

    def page(
        self, owner: BatchOwner | None, kinds: Sequence[str], *, limit: int, before: str | None = None
    ) -> list[Batch]:
        """The newest first; those before one, if that is named."""
        query = select(*_COLUMNS).where(*_seen_by(owner), batches.c.kind.in_(kinds))
        query = query.order_by(batches.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(batches.c.id < before)
        with self._database.reading() as connection:
            return [_batch_of(row) for row in connection.execute(query)]

    def open_ids(self) -> list[str]:
        """Of all that have not ended, the one first that nobody has looked after for longest."""
        query = select(batches.c.id).where(batches.c.ended_at.is_(None)).order_by(batches.c.checked_at)
        with self._database.reading() as connection:
            return list(connection.execute(query).scalars())

    def claim(self, batch_id: str, *, lease_ms: int) -> Batch | None:
        """Take a batch that has not ended for oneself; None where it has, or somebody else is at it."""
        now = clock.now_ms()
        change = (
            update(batches)
            .where(batches.c.id == batch_id, batches.c.ended_at.is_(None), batches.c.busy_until <= now)
            .values(busy_until=now + lease_ms)
        )
        with self._database.transaction() as connection:
            if connection.execute(change).rowcount == 0:
                return None
            return _batch_of(connection.execute(select(*_COLUMNS).where(batches.c.id == batch_id)).one())

    def release(self, batch_id: str) -> None:
        """Let others have it again, after the upstream was asked in vain."""
        self._change(batch_id, busy_until=0, checked_at=clock.now_ms())

    def give_up(self, batch_id: str) -> None:
        """Write down that nobody will ever know how it ended."""
        with self._database.transaction() as connection:
            self.end(connection, batch_id, status="failed")

    def note(self, batch_id: str, upstream: UpstreamBatch) -> None:
        """Write down how far the upstream is, and let others have it again. The end is for end() to tell."""
        self._change(
            batch_id,
            # One that is to be cancelled says so from the moment when that was asked for.
            status=case((batches.c.cancel_requested_at.is_(None), running_status(upstream)), else_="cancelling"),
            upstream_id=upstream.id,
            completed=upstream.completed,
            failed=upstream.failed,
            checked_at=clock.now_ms(),
            busy_until=0,
        )

    def ask_to_cancel(self, batch_id: str) -> None:
        self._change(batch_id, cancel_requested_at=clock.now_ms(), status="cancelling")

    def end(self, connection: Connection, batch_id: str, **values: Any) -> None:
        """Write down how it ended, unless that was done already: a part of the caller's own transaction."""
        now = clock.now_ms()
        connection.execute(
            update(batches)
            .where(batches.c.id == batch_id, batches.c.ended_at.is_(None))
            .values(ended_at=now, checked_at=now, busy_until=0, **values)
        )

    def _change(self, batch_id: str, **values: Any) -> None:
        """One that has ended stays as it is."""
        change = update(batches).where(batches.c.id == batch_id, batches.c.ended_at.is_(None)).values(**values)
        with self._database.transaction() as connection:
            connection.execute(change)


def _seen_by(owner: BatchOwner | None) -> list[Any]:
    if owner is None:
        return []
    of_tenant = batches.c.tenant == owner.tenant
    return [of_tenant] if owner.user is None else [of_tenant, batches.c.user_id == owner.user]


def _batch_of(row: Any) -> Batch:
    values = dict(row._mapping)
    return Batch(user=values.pop("user_id"), **values)
