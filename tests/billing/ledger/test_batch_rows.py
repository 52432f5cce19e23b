"""The rows of batches, over each kind of store: found by their owners, claimed by one, ended once, with their entries."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from app.batches.records import KINDS, Batch, BatchOwner, SentRequest
from app.batches.store import BatchStore
from app.billing.ledger.records import BudgetExceeded, Limit, Settlement
from app.openai_service import UpstreamBatch
from tests.fakes.storage.databases import on_postgresql_thoroughly

USER_DAY = Limit("user:acme/ann", "day", micro_usd=1_000)
DONE = Settlement(outcome="complete", source="reported", prompt_tokens=3, completion_tokens=4, cost_micro_usd=400)
REQUESTS = [SentRequest("a", 10, 5), SentRequest("Ж" * 30, 2**40, 0)]


@pytest.fixture
def batches(database):
    return BatchStore(database)


@pytest.fixture
def add(batches, ledger, entry, clock):
    """Adds a row with its hold."""

    def add(number=1, *, micro_usd=600, busy_until=0, **given):
        usual = {"tenant": "acme", "user": "ann", "kind": "chat", "model": "m", "status": "submitting", "total": 2}
        times = {"created_at": clock.now_ms, "checked_at": clock.now_ms}
        batch = Batch(id=f"batch_{number:028x}", entry_id="", **{**usual, **times, **given})
        held = ledger.hold(
            entry(user=batch.user),
            [USER_DAY],
            micro_usd=micro_usd,
            tokens=1,
            lease_s=60,
            also=lambda connection, hold: batches.add(
                connection, replace(batch, entry_id=hold.id), REQUESTS, busy_until=busy_until
            ),
        )
        return replace(batch, entry_id=held.id)

    return add


def test_a_row_comes_back_as_it_was_written(batches, add):
    batch = add()

    assert batches.get(batch.id) == batch
    assert batches.get_requests(batch.id) == REQUESTS
    assert batches.get("batch_none") is None


@on_postgresql_thoroughly
def test_a_budget_that_refuses_leaves_no_row(batches, add, rows, violations):
    add(1)
    with pytest.raises(BudgetExceeded):
        add(2)

    assert len(rows("batches")) == len(rows("entries")) == 1
    assert not violations()


@on_postgresql_thoroughly
def test_a_row_that_cannot_be_written_holds_nothing(batches, add, rows, violations):
    add(1, micro_usd=1)
    with pytest.raises(Exception, match=r"(?i)unique"):
        add(1, micro_usd=1)

    assert len(rows("batches")) == len(rows("entries")) == 1
    assert not violations()


@on_postgresql_thoroughly
def test_owners_see_their_own_and_tenants_all_of_theirs(batches, add):
    for number, (tenant, user) in enumerate([("acme", "ann"), ("acme", "bob"), ("other", "ann"), ("acme", "ann")]):
        add(number, tenant=tenant, user=user, micro_usd=1)

    def numbers(owner, **paging):
        return [int(batch.id[6:], 16) for batch in batches.list_page(owner, KINDS, **{"limit": 10, **paging})]

    assert numbers(BatchOwner("acme", "ann")) == [3, 0]
    assert numbers(BatchOwner("acme", None)) == [3, 1, 0]
    assert numbers(None) == [3, 2, 1, 0]
    assert numbers(None, limit=2, before=f"batch_{2:028x}") == [1, 0]
    assert batches.get(f"batch_{1:028x}", BatchOwner("acme", "ann")) is None
    assert batches.get(f"batch_{2:028x}", BatchOwner("acme", None)) is None


def test_of_many_at_once_one_has_the_claim(batches, add, clock):
    batch = add()
    barrier = threading.Barrier(6)
    claims = []

    def claim():
        barrier.wait()
        claims.append(batches.claim(batch.id, lease_ms=1_000))

    threads = [threading.Thread(target=claim) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [claim for claim in claims if claim is not None] == [batch]


@on_postgresql_thoroughly
def test_a_claim_ends_with_its_lease_or_when_it_is_given_back(batches, add, clock):
    batch = add(busy_until=clock.now_ms + 5_000)

    assert batches.claim(batch.id, lease_ms=1_000) is None
    clock.move(5)
    assert batches.claim(batch.id, lease_ms=1_000) is not None
    assert batches.claim(batch.id, lease_ms=1_000) is None
    clock.move(1)
    assert batches.claim(batch.id, lease_ms=1_000) is not None
    batches.release(batch.id)
    assert batches.claim(batch.id, lease_ms=1_000) == replace(batch, checked_at=clock.now_ms)


def test_progress_is_noted_until_the_end(batches, add, ledger, clock, rows, violations):
    batch = add()
    running = UpstreamBatch(id="b1", status="validating", created_at=1, completed=1)

    batches.set_status(batch.id, running)
    assert batches.get(batch.id).status == "validating"
    batches.set_status(batch.id, replace(running, status="odd"))
    assert batches.get(batch.id).status == "in_progress"
    batches.request_cancel(batch.id)
    batches.set_status(batch.id, running)
    noted = batches.get(batch.id)
    assert (noted.status, noted.upstream_id, noted.completed) == ("cancelling", "b1", 1)

    def end(status):
        ledger.settle_also(
            batch.entry_id, DONE, lambda connection: batches.end(connection, batch.id, status=status, failed=1)
        )

    clock.move(1)
    end("cancelled")
    ended = batches.get(batch.id)
    assert (ended.status, ended.failed, ended.ended_at) == ("cancelled", 1, clock.now_ms)
    clock.move(1)
    end("completed")
    batches.set_status(batch.id, running)
    batches.request_cancel(batch.id)
    batches.release(batch.id)
    assert batches.get(batch.id) == ended
    assert batches.claim(batch.id, lease_ms=1) is None
    assert batches.list_open_ids() == []
    assert [(row["state"], row["cost_micro_usd"]) for row in rows("entries")] == [("settled", 400)]
    assert not violations()


@on_postgresql_thoroughly
def test_an_end_that_fails_leaves_the_entry_pending(batches, add, ledger, rows, violations):
    batch = add()

    def stumble(connection):
        batches.end(connection, batch.id, status="completed")
        raise KeyError

    with pytest.raises(KeyError):
        ledger.settle_also(batch.entry_id, DONE, stumble)

    assert rows("entries")[0]["state"] == "pending"
    assert batches.list_open_ids() == [batch.id]
    assert not violations()


@on_postgresql_thoroughly
def test_the_one_that_was_not_looked_after_for_longest_comes_first(batches, add, clock):
    first, second = add(1, micro_usd=1), add(2, micro_usd=1)
    clock.move(1)
    batches.release(first.id)

    assert batches.list_open_ids() == [second.id, first.id]
