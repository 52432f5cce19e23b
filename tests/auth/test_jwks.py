from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from app.auth import jwks
from app.auth.errors import AuthUnavailable, Unauthenticated
from app.auth.jwks import Jwks
from tests.fakes.identity_provider import JWKS_URL, IdentityProvider, jwk_of, rsa_key


@pytest.fixture
def provider():
    return IdentityProvider()


@pytest.fixture
def keys(provider, clock):
    return Jwks(JWKS_URL, algorithm="RS256", fetch=provider.fetch)


def test_the_keys_are_fetched_when_first_needed_and_then_kept(keys, provider, clock):
    assert provider.asked == []
    for _ in range(5):
        assert keys.get_key("k1").key_id == "k1"
    clock.move(300)
    keys.get_key("k1")
    assert len(provider.asked) == 1

    clock.move(1)
    keys.get_key("k1")
    assert len(provider.asked) == 2


def test_a_thousand_unknown_ids_ask_the_provider_once_in_ten_seconds(keys, provider, clock):
    keys.get_key("k1")
    clock.move(11)
    for number in range(1000):
        with pytest.raises(Unauthenticated):
            keys.get_key(f"forged-{number}")

    assert len(provider.asked) == 2


def test_a_new_key_is_found_soon_after_the_provider_has_it(keys, provider, clock):
    keys.get_key("k1")
    provider.keys.append(jwk_of(rsa_key(2), "k2"))

    clock.move(10)

    assert keys.get_key("k2").key_id == "k2"


def test_a_key_that_the_provider_takes_back_ends_with_the_next_look(keys, provider, clock):
    keys.get_key("k1")
    provider.keys = [jwk_of(rsa_key(2), "k2")]
    clock.move(301)

    with pytest.raises(Unauthenticated):
        keys.get_key("k1")


def test_the_keys_stay_good_for_an_hour_while_the_provider_is_away(keys, provider, clock):
    keys.get_key("k1")
    provider.is_away = True
    clock.move(3600)

    assert keys.get_key("k1")
    clock.move(1)
    with pytest.raises(AuthUnavailable):
        keys.get_key("k1")
    provider.is_away = False
    clock.move(10)
    assert keys.get_key("k1")


def test_a_provider_that_is_away_is_asked_once_in_ten_seconds(keys, provider, clock):
    provider.is_away = True
    for _ in range(100):
        with pytest.raises(AuthUnavailable):
            keys.get_key("k1")
    assert len(provider.asked) == 1

    provider.is_away = False
    clock.move(10)
    assert keys.get_key("k1")


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": []}',
        b'{"keys": [1, null, {"kty": "RSA"}]}',
        b'{"keys": {}}',
        b"<html>",
        b"[" * 99_999,
    ],
)
def test_a_document_without_a_usable_key_counts_as_none(clock, document):
    with pytest.raises(AuthUnavailable):
        Jwks(JWKS_URL, algorithm="RS256", fetch=lambda url: document).get_key("k1")


def test_requests_that_come_while_the_first_keys_are_fetched_wait_for_them(clock):
    began, go_on = threading.Event(), threading.Event()
    asked = []

    def fetch(url):
        asked.append(url)
        began.set()
        assert go_on.wait(10)
        return IdentityProvider().fetch(url)

    keys = Jwks(JWKS_URL, algorithm="RS256", fetch=fetch)
    found = []
    threads = [threading.Thread(target=lambda: found.append(keys.get_key("k1"))) for _ in range(8)]
    threads[0].start()
    assert began.wait(10)
    for thread in threads[1:]:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join(10)

    assert len(found) == 8
    assert len(asked) == 1


def test_nobody_waits_for_new_keys_while_the_old_ones_do(provider, clock):
    began, go_on = threading.Event(), threading.Event()
    keys = Jwks(JWKS_URL, algorithm="RS256", fetch=provider.fetch)
    keys.get_key("k1")
    clock.move(301)

    def fetch(url):
        began.set()
        assert go_on.wait(10)
        return provider.fetch(url)

    keys._fetch = fetch
    fetching, other = [threading.Thread(target=keys.get_key, args=("k1",)) for _ in range(2)]
    fetching.start()
    assert began.wait(10)
    other.start()
    other.join(5)
    has_waited = other.is_alive()
    go_on.set()
    fetching.join(10)
    other.join(10)

    assert not has_waited


@contextlib.contextmanager
def server(answer):
    """A server on this machine that answers by `answer(handler)`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            with contextlib.suppress(OSError):
                answer(self)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}/jwks.json"
        finally:
            http.shutdown()
            thread.join()


def answering(status, body, **headers):
    def answer(handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def test_a_real_document_is_fetched():
    document = json.dumps({"keys": IdentityProvider().keys}).encode()

    with server(answering(200, document)) as url:
        assert jwks.fetch_key_set(url) == document


@pytest.mark.parametrize(
    "answer",
    [
        answering(404, b"{}"),
        pytest.param(answering(500, b"{}"), marks=pytest.mark.thorough),
        answering(200, b"x" * (300 * 1024)),
        lambda handler: handler.wfile.write(b"nonsense\r\n\r\n"),
    ],
    ids=["404", "500", "too large", "no HTTP"],
)
def test_any_other_answer_is_a_failure(answer):
    with server(answer) as url, pytest.raises(Exception) as caught:
        jwks.fetch_key_set(url)
    assert not isinstance(caught.value, AssertionError)


def test_a_redirect_is_not_followed_even_to_a_good_document():
    document = answering(200, json.dumps({"keys": IdentityProvider().keys}).encode())
    elsewhere = answering(302, b"", Location="/elsewhere")

    def answer(handler):
        (elsewhere if handler.path == "/jwks.json" else document)(handler)

    with server(answer) as url, pytest.raises(ValueError, match="not 200"):
        jwks.fetch_key_set(url)


def test_a_provider_that_does_not_answer_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(jwks, "_TIMEOUT_S", 0.1)
    done = threading.Event()

    with server(lambda handler: done.wait(10)) as url:
        with pytest.raises(Exception, match="timed out"):
            jwks.fetch_key_set(url)
        done.set()
