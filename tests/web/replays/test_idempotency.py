"""A request that is repeated with its Idempotency-Key: one answer, one upstream call, one row."""

from __future__ import annotations

import threading
from uuid import uuid4

import pytest

from app.limits.concurrency import ServerBusy
from app.storage.shared_state.records import SharedRecords
from app.storage.shared_state.replays import AnswerReader, Claim, IdempotencyKeys, Replay, answer_store
from app.storage.shared_state.replays.answer_log import ALIVE_S
from app.storage.shared_state.replays.answer_store import MAX_ANSWERS
from app.storage.shared_state.replays.errors import IdempotencyConflict, IdempotencyInDoubt
from app.storage.shared_state.sqlite_store import SqliteStore
from app.web.replays import waiting
from app.web.replays.waiting import WaitingBodies
from tests.fakes.site import bearer
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import chunk, completion, embeddings, error, sse, stream_of
from tests.media.images.pictures import png

CHAT, STREAM = "/api/chat", "/api/chat/stream"
HELLO = {"message": "Hello"}


@pytest.fixture
def key():
    return {"Idempotency-Key": f"k-{uuid4()}"}


@pytest.fixture
def keys(tmp_path):
    return IdempotencyKeys(SharedRecords(SqliteStore(tmp_path / "answers.sqlite3")), ttl_s=60.0)


def test_a_repeated_request_gets_the_same_answer_at_no_cost(records, client, upstream, key):
    upstream.answers(completion("first"))
    upstream.answers(completion("second"))

    first = client.post(CHAT, json=HELLO, headers=key)
    again = client.post(CHAT, json=HELLO, headers=key)

    assert (first.status_code, first.json["reply"]) == (200, "first")
    assert again.data == first.data
    assert again.headers["Idempotent-Replay"] == "true"
    assert "Idempotent-Replay" not in first.headers
    assert again.headers["X-Model"] == first.headers["X-Model"]
    assert again.headers["X-Request-ID"] != first.headers["X-Request-ID"]
    assert (len(upstream.sent), len(records)) == (1, 1)


def test_a_repeated_stream_gets_the_same_bytes(records, client, upstream, key):
    upstream.streams(*stream_of("Hel", "lo"))

    first, again = (client.post(STREAM, json=HELLO, headers=key) for _ in range(2))

    assert first.data == again.data
    assert b"id:" not in first.data
    assert again.headers["Idempotent-Replay"] == "true"
    assert again.headers["Content-Type"] == first.headers["Content-Type"]
    assert (len(upstream.sent), len(records)) == (1, 1)


def test_another_body_with_the_same_key_is_a_conflict(client, upstream, key):
    client.post(CHAT, json=HELLO, headers=key)

    refused = client.post(CHAT, json={"message": "Other"}, headers=key)

    assert (refused.status_code, refused.json["code"]) == (409, "idempotency_conflict")
    assert client.post(STREAM, json=HELLO, headers=key).status_code == 409, "another route is another request"
    assert len(upstream.sent) == 1


def test_the_key_of_another_caller_is_another_key(site, upstream, key):
    texts = ("hers", "his")
    for text in texts:
        upstream.answers(completion(text))

    replies = [
        site.client.post(CHAT, json=HELLO, headers={**bearer(site.token(userId=user)), **key}).json["reply"]
        for user in ("anna", "bert")
    ]

    assert tuple(replies) == texts


def test_a_user_named_like_an_address_is_not_who_calls_from_there(make_site, upstream, key):
    site = make_site(auth_required=False)
    texts = ("a stranger's", "the user's")
    for text in texts:
        upstream.answers(completion(text))

    replies = [
        site.app.test_client().post(CHAT, json=HELLO, headers={**credential, **key}).json["reply"]
        for credential in ({}, bearer(site.token(site.new_key(tenant="default"), userId="127.0.0.1")))
    ]

    assert tuple(replies) == texts


@pytest.mark.one_attempt
@pytest.mark.parametrize("route", [CHAT, STREAM])
def test_a_failed_request_may_be_tried_again(client, upstream, key, route):
    upstream.answers(error("down"), 500)
    assert client.post(route, json=HELLO, headers=key).status_code == 502
    upstream.streams(*stream_of("better")) if route == STREAM else upstream.answers(completion("better"))

    again = client.post(route, json=HELLO, headers=key)

    assert b"better" in again.data
    assert "Idempotent-Replay" not in again.headers


@pytest.mark.usefixtures("clock")  # at which no time passes, so that what was just dropped is still to be seen
@pytest.mark.parametrize("is_read", [False, True])
def test_an_answer_that_was_just_dropped_is_in_doubt(client, key, monkeypatch, is_read):
    monkeypatch.setattr(answer_store, "MAX_ANSWERS", 1)
    read_head = AnswerReader.read_head

    def drop_meanwhile(reader):
        head = read_head(reader)
        monkeypatch.setattr(AnswerReader, "read_head", read_head)
        client.post(CHAT, json=HELLO, headers={"Idempotency-Key": f"k-{uuid4()}"})
        return head

    client.post(CHAT, json=HELLO, headers=key)
    if is_read:
        monkeypatch.setattr(AnswerReader, "read_head", drop_meanwhile)
    else:
        client.post(CHAT, json=HELLO, headers={"Idempotency-Key": f"k-{uuid4()}"})
    again = client.post(CHAT, json=HELLO, headers=key)

    assert (again.status_code, again.json["code"]) == (409, "idempotency_in_doubt")


@pytest.mark.parametrize("route", ["/api/embeddings", "/v1/embeddings"])
def test_an_answer_that_is_too_long_to_be_kept_says_so_both_times(client, upstream, key, monkeypatch, route):
    monkeypatch.setattr("app.web.replays.idempotency.MAX_COMPLETE_BYTES", 1_000)
    upstream.answers(embeddings([[0.5] * 300] * 2))
    body = {"input": ["a", "b"]}

    first = client.post(route, json=body, headers=key)
    again = client.post(route, json=body, headers=key)

    assert (first.status_code, first.headers["Idempotency-Kept"]) == (200, "false")
    assert again.status_code == 409 and "too long to be kept" in again.text
    assert again.headers["X-Should-Retry"] == "false"
    assert len(upstream.sent) == 1


def test_an_answer_in_one_piece_may_be_longer_than_a_stream(client, upstream, key, monkeypatch):
    monkeypatch.setattr("app.storage.shared_state.replays.answer_log.MAX_BYTES", 1_000)
    upstream.answers(completion("x" * 20_000))

    first = client.post(CHAT, json=HELLO, headers=key)

    assert client.post(CHAT, json=HELLO, headers=key).data == first.data
    assert "Idempotency-Kept" not in first.headers


@each_row("value", ["one,two", "one, two", ",", "one,one"])
def test_two_keys_are_one_too_many(client, upstream, value):
    """As a server joins two headers of one name."""
    answer = client.post(CHAT, json=HELLO, headers={"Idempotency-Key": value})

    assert (answer.status_code, answer.json["code"]) == (400, "invalid_request")
    assert upstream.sent == []


def test_failures_do_not_take_the_place_of_answers(client, upstream, key):
    first = client.post(CHAT, json=HELLO, headers=key)
    for number in range(MAX_ANSWERS):
        refused = client.post(CHAT, json={}, headers={"Idempotency-Key": f"refused-{number}"})
        assert refused.status_code == 400

    assert client.post(CHAT, json=HELLO, headers=key).data == first.data
    assert len(upstream.sent) == 1


def test_a_stream_that_breaks_may_be_tried_again(client, upstream, key):
    upstream.streams_bytes([sse(chunk({"content": "Hal"}))])
    broken = client.post(STREAM, json=HELLO, headers=key)
    assert b'"code"' in broken.data
    upstream.streams(*stream_of("better"))

    assert b"better" in client.post(STREAM, json=HELLO, headers=key).data


@each_row("key", ["", " ", "a b", "ä", "k" * 256])
def test_a_malformed_key_is_refused(client, upstream, key):
    refused = client.post(CHAT, json=HELLO, headers={"Idempotency-Key": key})

    assert (refused.status_code, refused.json["code"]) == (400, "invalid_request")
    assert "Idempotency-Key" in refused.json["error"]
    assert not upstream.sent


def test_twenty_at_once_are_one_call(app, upstream, key):
    answered, begun = threading.Event(), threading.Event()
    real = upstream.otherwise

    def slow(sent):
        begun.set()
        answered.wait(5)
        return real(sent)

    upstream.otherwise = slow
    bodies = []

    def send():
        bodies.append(app.test_client().post(CHAT, json=HELLO, headers=key).data)

    threads = [threading.Thread(target=send) for _ in range(20)]
    for thread in threads:
        thread.start()
    assert begun.wait(5)
    answered.set()
    for thread in threads:
        thread.join(20)

    assert len(upstream.sent) == 1
    assert len(bodies) == 20
    assert len(set(bodies)) == 1


def test_only_so_much_waits_for_the_answer_to_another(app, upstream, key, monkeypatch):
    monkeypatch.setattr(waiting, "_MAX_BYTES_EACH", 3_000)
    large = {"message": "a" * 2_000}
    begun, others = threading.Event(), threading.Event()
    real = upstream.otherwise

    def slow(sent):
        begun.set()
        others.wait(10)
        return real(sent)

    upstream.otherwise = slow
    answers = []

    def send():
        answers.append(app.test_client().post(CHAT, json=large, headers=key))
        if answers[-1].status_code == 503:
            others.set()  # one too many

    threads = [threading.Thread(target=send) for _ in range(3)]
    threads[0].start()
    assert begun.wait(10)
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join(20)

    refused, *given = sorted(answers, key=lambda answer: -answer.status_code)
    assert (refused.status_code, refused.json["code"]) == (503, "concurrency_limit")
    assert int(refused.headers["Retry-After"]) > 0
    assert [answer.status_code for answer in given] == [200, 200]
    assert given[0].data == given[1].data
    assert app.test_client().post(CHAT, json=large, headers=key).data == given[0].data
    assert len(upstream.sent) == 1


def test_one_body_may_always_wait_and_is_forgotten_then():
    bodies = WaitingBodies()
    with bodies.hold("anna", 10**9), pytest.raises(ServerBusy), bodies.hold("bert", 1):
        pass
    with bodies.hold("anna", 1), bodies.hold("anna", 2), bodies.hold("bert", 10**7):
        pass
    assert not bodies._bytes


def test_a_form_with_another_boundary_is_the_same_request(client, upstream, key):
    def form(boundary):
        part = f"--{boundary}\r\nContent-Disposition: form-data; name="
        return (
            f'{part}"prompt"\r\n\r\nWhat is it?\r\n{part}"image"; filename="a.png"\r\n\r\n'.encode()
            + png(8, 8)
            + f"\r\n--{boundary}--\r\n".encode()
        )

    first, again = (
        client.post(
            "/api/vision",
            data=form(boundary),
            content_type=f"multipart/form-data; boundary={boundary}",
            headers=key,
        )
        for boundary in ("one", "another")
    )

    assert first.data == again.data
    assert len(upstream.sent) == 1


class TestClaims:
    def test_a_claim_whose_worker_died_before_sending_is_free(self, keys, clock):
        first = keys.claim("o", "k", "r")
        assert keys.claim("o", "k", "r") == Replay(first.answer_id, is_done=False)

        clock.move(ALIVE_S + 1)

        second = keys.claim("o", "k", "r")
        assert isinstance(second, Claim)
        with pytest.raises(IdempotencyInDoubt):
            first.note_sent()
        second.note_sent()

    def test_a_claim_whose_worker_died_after_sending_is_in_doubt(self, keys, clock):
        keys.claim("o", "k", "r").note_sent()
        clock.move(ALIVE_S + 1)

        with pytest.raises(IdempotencyInDoubt):
            keys.claim("o", "k", "r")

    def test_a_claim_that_is_renewed_is_alive(self, keys, clock):
        first = keys.claim("o", "k", "r")
        for _ in range(3):
            clock.move(ALIVE_S - 1)
            first.renew()

        assert isinstance(keys.claim("o", "k", "r"), Replay)

    def test_the_end_of_a_claim(self, keys):
        first = keys.claim("o", "k", "r")
        first.note_sent()
        first.complete()
        assert keys.claim("o", "k", "r") == Replay(first.answer_id, is_done=True)
        with pytest.raises(IdempotencyConflict):
            keys.claim("o", "k", "other")
        assert isinstance(keys.claim("other", "k", "r"), Claim)

        second = keys.claim("o", "k2", "r")
        second.fail()
        assert isinstance(keys.claim("o", "k2", "other"), Claim)
