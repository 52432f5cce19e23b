"""Each settled row reaches each system once, whatever fails on the way."""

from __future__ import annotations

import base64
import json
import threading
from contextlib import closing

import pytest

from app.billing.ledger.backlog import count_backlogs
from app.billing.ledger.ledger import Ledger
from app.billing.ledger.records import Settlement
from app.billing.outbox import posting
from app.billing.outbox.delivery import deliver
from app.billing.outbox.queue import LEASE_S, WAITS_S, OutboxQueue
from app.billing.outbox.stripe import StripeMeter
from app.billing.outbox.webhook import UsageWebhook
from app.safety.signatures import check_signature
from tests.billing.ledger.conftest import NOON
from tests.billing.outbox.kills import kill_deliveries
from tests.billing.outbox.receiver import Receiver
from tests.fakes.storage.databases import on_postgresql_thoroughly

KEY = b"k" * 24
SECRET = "whsec_" + base64.b64encode(KEY).decode()
DONE = Settlement(
    outcome="complete",
    source="reported",
    model="gpt-6.1-terra",
    cost_micro_usd=70,
    prompt_tokens=3,
    completion_tokens=4,
    cache_write_tokens=0,
)


@pytest.fixture
def ledger(database, tmp_path, clock):
    return Ledger(database, tmp_path / "journal", outbox_targets=("webhook", "stripe"))


@pytest.fixture
def call(ledger, entry):
    def make(settlement=DONE, **given):
        hold = ledger.hold(entry(**given), [], micro_usd=100, tokens=10, lease_s=60)
        ledger.settle(hold, settlement)
        return hold.id

    return make


@pytest.fixture
def queue(database):
    return OutboxQueue(database)


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def webhook(receiver, monkeypatch, clock):
    monkeypatch.setattr("app.runtime.clock.now", lambda: clock.now_ms / 1000)
    with closing(UsageWebhook(f"{receiver.url}/usage", SECRET)) as webhook:
        yield webhook


@pytest.fixture
def stripe(receiver):
    made = StripeMeter(
        "sk_test_canary",
        meter="tokens",
        value="cost_micro_usd",
        customers={"acme": "cus_1", "own": "none"},
        api=receiver.url,
    )
    with closing(made) as stripe:
        yield stripe


def test_a_settlement_is_noted_for_each_system_however_it_is_settled(ledger, entry, call, clock, rows):
    settled = call()
    ledger.settle_also(
        ledger.hold(entry(), [], micro_usd=1, tokens=1, lease_s=60).id, DONE, lambda connection: None
    )
    swept = ledger.hold(entry(), [], micro_usd=1, tokens=1, lease_s=60)
    pending = ledger.hold(entry(), [], micro_usd=1, tokens=1, lease_s=9000)
    clock.move(300)
    ledger.sweep()
    ledger.settle(swept, DONE)  # late, and again

    noted = [(row["target"], row["entry_id"]) for row in rows("outbox")]

    assert len(noted) == len(set(noted)) == 6
    assert {("webhook", settled), ("stripe", swept.id)} < set(noted)
    assert pending.id not in dict(noted).values()


@on_postgresql_thoroughly
def test_nothing_is_noted_where_no_system_is_named(database, tmp_path, entry, clock, rows):
    ledger = Ledger(database, tmp_path / "journal")
    ledger.settle(ledger.hold(entry(), [], micro_usd=1, tokens=1, lease_s=60), DONE)

    assert rows("outbox") == []


@on_postgresql_thoroughly
def test_a_webhook_is_signed_and_has_the_row(queue, webhook, receiver, call):
    entry_id = call(user="ann", tenant="acme")

    assert deliver(queue, webhook).accepted == 1

    headers, body = receiver.headers[entry_id], receiver.bodies[entry_id]
    check_signature(
        body,
        key=KEY,
        webhook_id=headers["webhook-id"],
        timestamp=headers["webhook-timestamp"],
        signatures=headers["webhook-signature"],
    )
    event = json.loads(body)
    assert (event["type"], event["timestamp"]) == ("usage.settled", "2026-11-20T12:00:00Z")
    data = event["data"]
    assert (data["id"], data["tenant"], data["user"]) == (entry_id, "acme", "ann")
    assert (data["costMicroUsd"], data["promptTokens"], data["cacheWriteTokens"]) == (70, 3, 0)
    assert (data["cachedTokens"], data["firstTokenMs"], data["outcome"]) == (None, None, "complete")


def test_each_is_told_once_and_forgotten(queue, webhook, receiver, call, rows):
    ids = {call() for _ in range(120)}

    assert deliver(queue, webhook).accepted == 120
    assert deliver(queue, webhook).accepted == 0

    assert receiver.heard == dict.fromkeys(ids, 1)
    assert {row["target"] for row in rows("outbox")} == {"stripe"}, "the other system is still to be told"


@on_postgresql_thoroughly
@pytest.mark.parametrize(
    "answer", [(500, b""), pytest.param((404, b""), marks=pytest.mark.thorough), (302, b""), (0, b"")]
)
def test_what_is_not_taken_is_sent_again_later_and_given_up_at_last(queue, webhook, receiver, call, clock, answer):
    entry_id = call()
    receiver.answer = lambda _: answer

    for wait_s in WAITS_S:
        assert deliver(queue, webhook).failed == 1
        assert deliver(queue, webhook).failed == 0, "not before its time"
        clock.move(wait_s)
    assert deliver(queue, webhook).given_up == 1

    (lost,) = queue.list_given_up(10)
    assert (lost.entry_id, lost.attempts) == (entry_id, len(WAITS_S) + 1)
    assert receiver.heard[entry_id] == len(WAITS_S) + 1
    receiver.answer = lambda _: (200, b"ok")
    assert queue.retry_given_up("stripe") == 0
    assert queue.retry_given_up("webhook") == 1
    assert deliver(queue, webhook).accepted == 1


@on_postgresql_thoroughly
def test_a_receiver_that_is_gone_is_asked_no_more(queue, webhook, receiver, call):
    call()
    receiver.answer = lambda _: (410, b"")

    assert deliver(queue, webhook).given_up == 1


@on_postgresql_thoroughly
def test_one_bad_entry_holds_no_other_up(queue, webhook, receiver, call):
    bad = call()
    others = {call() for _ in range(70)}
    receiver.answer = lambda entry_id: (500, b"") if entry_id == bad else (200, b"")

    done = deliver(queue, webhook)

    assert (done.accepted, done.failed) == (70, 1)
    assert others < set(receiver.heard)


@on_postgresql_thoroughly
def test_a_receiver_that_hangs_ends_the_round(queue, webhook, receiver, call, database, monkeypatch):
    """It is left after the time limit, and what waits behind it is not tried in this round."""
    monkeypatch.setattr(posting, "TIMEOUT_S", 0.2)
    for _ in range(60):
        call()
    done = threading.Event()

    def hang(_):
        done.wait(30)
        return 200, b""

    receiver.answer = hang
    try:
        result = deliver(queue, webhook)
    finally:
        done.set()

    assert (result.accepted, result.failed) == (0, 50)
    (stripe, waiting) = count_backlogs(database)
    assert (stripe.target, stripe.waiting, stripe.failed) == ("stripe", 60, 0)
    assert (waiting.target, waiting.waiting, waiting.failed, waiting.given_up) == ("webhook", 60, 50, 0)
    assert waiting.oldest_at == NOON


def test_what_a_killed_process_had_taken_is_sent_after_its_lease(queue, webhook, receiver, call, clock):
    entry_id = call()
    assert [due.entry["id"] for due in queue.take("webhook", 10)] == [entry_id]  # and it is killed

    assert deliver(queue, webhook).accepted == 0
    clock.move(LEASE_S)
    assert deliver(queue, webhook).accepted == 1


def test_two_at_once_take_different_entries(queue, database, call):
    ids = {call() for _ in range(10)}

    first, second = queue.take("webhook", 6), OutboxQueue(database).take("webhook", 6)

    assert [len(first), len(second)] == [6, 4]
    assert {due.entry["id"] for due in [*first, *second]} == ids


@on_postgresql_thoroughly
def test_stripe_is_told_what_a_customer_used(queue, stripe, receiver, call):
    entry_id = call()

    assert deliver(queue, stripe).accepted == 1

    assert receiver.bodies[entry_id].decode() == (
        f"event_name=tokens&identifier={entry_id}&timestamp={NOON // 1000}"
        "&payload%5Bstripe_customer_id%5D=cus_1&payload%5Bvalue%5D=70"
    )
    assert receiver.headers[entry_id]["authorization"] == "Bearer sk_test_canary"
    assert receiver.headers[entry_id]["idempotency-key"] == entry_id


@on_postgresql_thoroughly
def test_stripe_is_not_told_of_those_who_are_not_billed_or_used_nothing(queue, stripe, receiver, call, rows):
    call(tenant="own")
    call(Settlement(outcome="complete", source="cached", cost_micro_usd=0))
    own_customer = call(tenant="cus_9")

    assert deliver(queue, stripe).accepted == 3
    assert set(receiver.heard) == {own_customer}


@on_postgresql_thoroughly
def test_what_stripe_can_never_take_is_given_up_with_its_reason(queue, stripe, receiver, call):
    call(tenant="new")
    call(Settlement(outcome="complete", source="reported", cost_micro_usd=None, prompt_tokens=3))
    refused = call()
    body = json.dumps({"error": {"message": "No such\nmeter"}}).encode()
    receiver.answer = lambda _: (400, body)

    assert deliver(queue, stripe).given_up == 3

    reasons = {lost.entry_id: lost.reason for lost in queue.list_given_up(10)}
    assert reasons[refused] == "status 400: No such meter"
    assert "STRIPE_CUSTOMERS has no customer of tenant new" in reasons.values()
    assert "the cost of the entry is unknown" in reasons.values()


@on_postgresql_thoroughly
def test_an_event_that_stripe_has_already_is_taken(queue, stripe, receiver, call):
    call()
    body = json.dumps({"error": {"message": "An event already exists with identifier x."}}).encode()
    receiver.answer = lambda _: (400, body)

    assert deliver(queue, stripe).accepted == 1


@on_postgresql_thoroughly
@pytest.mark.parametrize("status", [pytest.param(401, marks=pytest.mark.thorough), 429, 500])
def test_what_may_pass_is_sent_to_stripe_again(queue, stripe, receiver, call, status):
    call()
    receiver.answer = lambda _: (status, b"{}")

    assert deliver(queue, stripe).failed == 1


@on_postgresql_thoroughly
def test_stripe_is_not_told_again_once_it_may_have_forgotten(queue, stripe, receiver, call, clock):
    call()
    queue.take("stripe", 1)  # sent perhaps, and killed
    clock.move(24 * 3600)

    assert deliver(queue, stripe).given_up == 1

    assert not receiver.heard
    assert "counted twice" in queue.list_given_up(1)[0].reason


@pytest.mark.thorough
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_nothing_is_lost_when_a_delivery_is_killed(store, database, tmp_path):
    kill_deliveries(store.url, tmp_path, times=1)


@pytest.mark.thorough
def test_nothing_is_lost_when_deliveries_are_killed(store, database, tmp_path):
    kill_deliveries(store.url, tmp_path, times=2)
