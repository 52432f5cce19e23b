from __future__ import annotations

import os
import select
import socket
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path

import httpx2
import pytest

from app.config import Config
from app.openai_service import ChatCall, Done, Failed, OpenAIService, Token, build_client
from app.openai_service.errors import UpstreamFailed, UpstreamRateLimited, UpstreamTimeout, UpstreamTruncated
from app.storage.shared_state import MemoryState
from app.upstream_http.addresses import Addresses
from app.upstream_http.call_state import CallState
from app.upstream_http.client import UpstreamClient
from tests.fakes.stopwatch import Stopwatch
from tests.fakes.tables import crossed
from tests.fakes.upstreams.openai_answers import completion, error, sse, stream_of
from tests.fakes.upstreams.raw_server import CLOSE, READ, RESET, RawServer, answer, chunked, connect_proxy

CALL = ChatCall("chat", [{"role": "user", "content": "Hi"}], "r1")
HELLO = answer(completion("Hello"))
STREAM = chunked(sse(*stream_of("Hel", "lo")))


@pytest.fixture
def service_for(monkeypatch):
    """Builds the service over real sockets to a URL."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    with ExitStack() as stack:

        def make(url, **settings):
            once = {"retry_max_attempts": 1, "chat_fallback_models": ()}
            config = Config(
                **{"openai_api_key": "sk-test", "openai_base_url": url, "request_timeout_s": 2, **once, **settings}
            )
            client = stack.enter_context(build_client(config.connection))
            return OpenAIService(config.service, client, MemoryState())

        yield make


def chat(service):
    return service.chat(CALL).text


def stream(service):
    """The batches of a whole stream."""
    answering = service.stream_chat(CALL)
    try:
        return list(answering)
    finally:
        answering.close()


def events(service):
    """What a stream held; a failure before anything else is raised, as it becomes a status."""
    found = [event for batch in stream(service) for event in batch]
    if isinstance(found[0], Failed):
        raise found[0].error
    return found


def text_of(service):
    return "".join(event.text for event in events(service) if isinstance(event, Token))


def embed(service):
    return service.embed(["Hi"], request_id="r1")


def pool_of(service):
    return service._sender._keys.choose()._client._pool


def client_of(server):
    return UpstreamClient(server.url, connect_timeout_s=1)


def request(client, url, method, **form):
    """Send a request below the SDK."""
    sent = client.build_request(method, f"{url}/files", headers=[("Host", "local")], **form)
    return CallState(time.monotonic() + 2, tick_s=1).run(lambda: client.send(sent))


def wait_until(is_so):
    until = time.monotonic() + 2
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.002)


def test_calls_and_streams_read_to_their_end_share_one_connection(service_for):
    with RawServer([READ, HELLO, READ, HELLO, READ, *STREAM, READ, HELLO]) as server:
        service = service_for(server.url)

        assert [chat(service), chat(service), text_of(service), chat(service)] == ["Hello"] * 4

        assert (server.connections, len(server.requests)) == (1, 4)


def test_a_request_has_each_header_once_and_the_body_as_it_is(service_for):
    with RawServer([READ, HELLO]) as server:
        chat(service_for(server.url, openai_org_id="org-1"))

        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        line, *headers = head.decode().split("\r\n")
        names = [header.split(": ")[0].lower() for header in headers]
        values = dict(header.split(": ", 1) for header in head.decode().lower().split("\r\n")[1:])
        assert line == "POST /v1/chat/completions HTTP/1.1"
        assert len(names) == len(set(names))
        assert values["host"] == f"127.0.0.1:{server.port}"
        assert values["content-length"] == str(len(body))
        assert values["content-type"] == "application/json"
        assert values["authorization"] == "bearer sk-test"
        assert values["openai-organization"] == "org-1"
        assert values["accept-encoding"] == "identity"
        assert body.startswith(b'{"model":"gpt-6.1-terra","messages":[{"role":"user","content":"Hi"}]')


def test_a_stream_that_is_left_closes_its_connection(service_for):
    pieces = [sse(payload) for payload in stream_of("a", "b")]
    with RawServer([READ, *chunked(*pieces)[:4]], [READ, HELLO]) as server:
        service = service_for(server.url)
        answering = service.stream_chat(CALL)
        next(iter(answering))

        answering.close()

        wait_until(lambda: server.left == 1)
        assert chat(service) == "Hello"
        assert server.connections == 2


def test_a_stream_whose_end_lags_behind_done_keeps_its_connection(service_for):
    with RawServer([READ, *STREAM[:-1], 0.05, STREAM[-1], READ, HELLO]) as server:
        service = service_for(server.url)

        assert [text_of(service), chat(service)] == ["Hello", "Hello"]
        assert server.connections == 1


def test_a_stream_whose_connection_never_ends_is_done_all_the_same(service_for):
    with RawServer([READ, *STREAM[:-1]], [READ, HELLO]) as server:
        service = service_for(server.url)

        assert isinstance(events(service)[-1], Done)
        assert chat(service) == "Hello"
        assert server.connections == 2


@pytest.mark.parametrize("end", [CLOSE, RESET, b"no chunk"])
def test_a_connection_that_breaks_after_done_changes_nothing(service_for, end):
    with RawServer([READ, *STREAM[:-1], 0.02, end]) as server:
        assert [type(event) for event in events(service_for(server.url))] == [Token, Token, Done]


@pytest.mark.parametrize("ending", [[CLOSE], [RESET], [b"HTTP/1.1 408 Request Timeout\r\n\r\n", CLOSE], [b"?"]])
def test_a_kept_connection_that_the_upstream_has_ended_is_replaced_unnoticed(service_for, ending):
    with RawServer([READ, HELLO, 0.02, *ending], [READ, HELLO]) as server:
        service = service_for(server.url)
        chat(service)
        time.sleep(0.05)

        assert chat(service) == "Hello"
        assert (server.connections, len(server.requests)) == (2, 2)


@pytest.mark.parametrize("ending", [CLOSE, RESET])
@pytest.mark.parametrize("ask", [chat, text_of, embed], ids=["chat", "stream", "embeddings"])
def test_a_request_that_the_upstream_may_have_read_is_not_sent_again(service_for, ending, ask):
    with RawServer([READ, HELLO, READ, ending], [READ, HELLO]) as server:
        service = service_for(server.url)
        chat(service)

        with pytest.raises(UpstreamFailed) as failed:
            ask(service)
        assert failed.value.may_be_billed
        assert (server.connections, len(server.requests)) == (1, 2)


def test_a_retry_of_what_the_upstream_may_have_read_is_an_attempt_that_may_be_billed(service_for):
    with RawServer([READ, HELLO, READ, CLOSE], [READ, HELLO]) as server:
        service = service_for(server.url, retry_max_attempts=2)
        chat(service)

        record = service.chat(CALL).record

        assert [attempt.billed for attempt in record.attempt_log] == ["unknown", "yes"]
        assert record.attempts == len(server.requests) - 1 == 2


def test_a_file_that_the_upstream_may_have_read_is_not_sent_again():
    with RawServer([READ, HELLO, READ, CLOSE], [READ, HELLO]) as server, closing(client_of(server)) as client:
        request(client, server.url, "POST")

        with pytest.raises(httpx2.TransportError):
            request(client, server.url, "POST", files={"file": ("a", b"b")})
        assert (server.connections, len(server.requests)) == (1, 2)


def test_a_get_may_be_sent_again_as_it_changes_and_costs_nothing():
    with RawServer([READ, HELLO, READ, CLOSE], [READ, HELLO]) as server, closing(client_of(server)) as client:
        request(client, server.url, "POST")

        assert request(client, server.url, "GET").status_code == 200
        assert (server.connections, len(server.requests)) == (2, 3)


@pytest.mark.parametrize("error", [BrokenPipeError(), ConnectionResetError()])
def test_a_request_of_which_no_byte_went_out_is_sent_on_a_new_connection(service_for, monkeypatch, error):
    with RawServer([READ, HELLO], [READ, HELLO]) as server:
        service = service_for(server.url)
        chat(service)
        [idle] = pool_of(service)._idle
        monkeypatch.setattr(idle, "_sock", _Broken(idle._sock, error))

        assert chat(service) == "Hello"
        assert (server.connections, len(server.requests)) == (2, 2)


@pytest.mark.parametrize("timeout", [0, 1])
def test_a_connection_that_the_upstream_hardly_keeps_is_not_kept(service_for, timeout):
    with RawServer([READ, answer(completion("Hello"), f"Keep-Alive: timeout={timeout}")], [READ, HELLO]) as server:
        service = service_for(server.url)

        assert [chat(service), chat(service)] == ["Hello", "Hello"]
        assert server.connections == 2


class _Broken:
    """A socket that looks open, and breaks as it is written to."""

    def __init__(self, sock, error):
        self._sock = sock
        self._error = error

    def send(self, _):
        raise self._error

    def __getattr__(self, name):
        return getattr(self._sock, name)


@pytest.mark.parametrize(
    ("header", "kept_s"),
    [
        (None, 4),
        ("Keep-Alive: timeout=5", 4),
        ("keep-alive: max=100, Timeout = 30", 29),
        ("Keep-Alive: timeout=2", 1),
        ("Keep-Alive: timeout=3600", 55),
        ("Keep-Alive: timeout=999999999", 55),
        ("Keep-Alive: timeout=-5", 4),
        ("Keep-Alive: max=100", 4),
        ("Keep-Alive: \xff", 4),
    ],
)
def test_a_connection_is_given_up_before_the_upstream_does_it(service_for, monkeypatch, header, kept_s):
    hello = answer(completion("Hello"), *([header] if header else []))
    with RawServer([READ, hello], [READ, HELLO]) as server:
        service = service_for(server.url)
        chat(service)

        [idle] = pool_of(service)._idle
        assert idle.expires_at == pytest.approx(time.monotonic() + kept_s, abs=0.5)


def test_a_request_that_the_upstream_began_to_answer_is_not_sent_again(service_for):
    with RawServer([READ, HELLO, READ, b"HTTP/1.1 200 OK\r\n", CLOSE], [READ, HELLO]) as server:
        service = service_for(server.url)
        chat(service)

        with pytest.raises(UpstreamFailed):
            chat(service)
        assert (server.connections, len(server.requests)) == (1, 2)


def test_a_connection_kept_too_long_is_not_used(service_for, monkeypatch):
    monkeypatch.setattr("app.upstream_http.connection.USUAL_IDLE_S", -1.0)
    with RawServer([READ, HELLO], [READ, HELLO]) as server:
        service = service_for(server.url)

        assert [chat(service), chat(service)] == ["Hello", "Hello"]
        assert server.connections == 2


@pytest.mark.parametrize("headers", [["Connection: close"], ["connection: Close, x"]])
def test_a_connection_that_the_upstream_will_close_is_not_kept(service_for, headers):
    with RawServer([READ, answer(completion("Hello"), *headers)], [READ, HELLO]) as server:
        service = service_for(server.url)

        assert [chat(service), chat(service)] == ["Hello", "Hello"]
        assert server.connections == 2


def test_an_answer_of_http_1_0_ends_with_its_connection(service_for):
    body = answer(completion("Hello")).partition(b"\r\n\r\n")[2]
    with RawServer([READ, b"HTTP/1.0 200 OK\r\n\r\n", body[:20], body[20:], CLOSE], [READ, HELLO]) as server:
        service = service_for(server.url)

        assert [chat(service), chat(service)] == ["Hello", "Hello"]
        assert server.connections == 2


@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nContent-Length: 3\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 3,
    ],
)
def test_interim_answers_are_passed_over(service_for, interim):
    with RawServer([READ, interim + HELLO, READ, interim, 0.01, HELLO]) as server:
        service = service_for(server.url)

        assert [chat(service), chat(service)] == ["Hello", "Hello"]
        assert server.connections == 1


def test_an_answer_may_come_byte_by_byte(service_for):
    whole = b"".join(chunked(*[sse(payload) for payload in stream_of("Ж", "é")]))
    with RawServer([READ, *[whole[at : at + 1] for at in range(len(whole))]]) as server:
        assert text_of(service_for(server.url)) == "Жé"


def test_chunk_extensions_and_trailers_are_passed_over(service_for):
    body = HELLO.partition(b"\r\n\r\n")[2]
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\nTrailer: X-A\r\n\r\n"
    with RawServer(
        [READ, head, b"%X;a=b\r\n%b\r\n0\r\nX-A: 1\r\n\r\n" % (len(body), body), READ, HELLO]
    ) as server:
        service = service_for(server.url)

        assert [chat(service), chat(service)] == ["Hello", "Hello"]
        assert server.connections == 1


def test_a_large_answer_comes_whole(service_for):
    text = "x" * 3_000_000
    with RawServer([READ, answer(completion(text))]) as server:
        assert chat(service_for(server.url)) == text


def test_a_large_request_goes_out_whole(service_for):
    call = ChatCall("chat", [{"role": "user", "content": "x" * 3_000_000}], "r1")
    with RawServer([READ, HELLO]) as server:
        service_for(server.url).chat(call)

        assert len(server.requests[0]) > 3_000_000


@pytest.mark.parametrize(
    "steps",
    [
        [CLOSE],
        [RESET],
        [READ, CLOSE],
        [READ, RESET],
        [READ, b"HTTP/1.1 2", CLOSE],
        [READ, b"SSH-2.0-OpenSSH_9.6\r\n"],
        [READ, b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"],
        [READ, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nHello"],
        [READ, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
        [READ, HELLO[:-1], CLOSE],
        [READ, HELLO[:-1], RESET],
        [READ, *STREAM[:-1], CLOSE],
        [READ, b"HTTP/1.1 204 No Content\r\n\r\n"],
        [READ, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", CLOSE],
    ],
    ids=str,
)
def test_what_is_no_whole_answer_is_a_failure_and_not_tried_again(service_for, steps):
    with RawServer(steps, [READ, HELLO]) as server:
        with pytest.raises(UpstreamFailed):
            chat(service_for(server.url))
        assert server.connections == 1


@pytest.mark.parametrize("ending", [CLOSE, RESET, b"no chunk"])
def test_a_stream_that_breaks_gives_what_came_and_then_the_failure(service_for, ending):
    with RawServer([READ, *chunked(sse(*stream_of("Hel")[:2]))[:-1], 0.02, ending]) as server:
        token, failed = events(service_for(server.url))

    assert token == Token("Hel")
    assert isinstance(failed, Failed)
    assert type(failed.error) is UpstreamFailed


def test_a_stream_that_ends_properly_but_too_early_is_truncated(service_for):
    with RawServer([READ, *chunked(sse(*stream_of("Hel")[:2]))]) as server:
        failed = events(service_for(server.url))[-1]

    assert isinstance(failed.error, UpstreamTruncated)


def test_nobody_there_is_a_failure(service_for):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    with pytest.raises(UpstreamFailed):
        chat(service_for(f"http://127.0.0.1:{port}/v1"))


def test_a_host_that_has_no_address_is_a_failure(service_for):
    for host in ("nothing.invalid", f"{'x' * 64}.invalid"):
        with pytest.raises(UpstreamFailed):
            chat(service_for(f"http://{host}/v1"))


def test_a_refusal_is_read_to_its_end_and_its_connection_kept(service_for):
    refusal = answer(error(), "Retry-After: 3", "X-Request-ID: req_1", status="429 Too Many Requests")
    with RawServer([READ, refusal, READ, refusal, READ, HELLO]) as server:
        service = service_for(server.url)

        with pytest.raises(UpstreamRateLimited) as caught:
            chat(service)
        with pytest.raises(UpstreamRateLimited):
            events(service)

        assert (caught.value.retry_after_s, caught.value.upstream_request_id) == (3.0, "req_1")
        assert chat(service) == "Hello"
        assert server.connections == 1


@pytest.mark.parametrize(
    ("way", "silence"),
    crossed(
        {"chat": chat, "events": events},
        [[READ], [], [READ, 0.1, b"HTTP/1.1 100 Continue\r\n\r\n"], [READ, *[b"H", b"T", b"T"]]],
    ),
)
def test_the_deadline_ends_a_wait_for_the_head(service_for, way, silence):
    with RawServer([*silence]) as server:
        watch = Stopwatch()

        with pytest.raises(UpstreamTimeout):
            way(service_for(server.url, request_timeout_s=0.12))

        assert watch.wall_s() > 0.1
        assert watch.elapsed_s() < 1.0


def test_the_deadline_ends_a_drip_of_bytes(service_for):
    drip = [step for byte in HELLO for step in (bytes([byte]), 0.02)]
    for steps in (drip, [HELLO[:-100], *drip]):
        with RawServer([READ, *steps]) as server:
            watch = Stopwatch()

            with pytest.raises(UpstreamTimeout):
                chat(service_for(server.url, request_timeout_s=0.15))

            assert watch.wall_s() > 0.13
            assert watch.elapsed_s() < 1.0
            wait_until(lambda: server.left == 1)


def test_the_deadline_ends_a_stream_with_an_event(service_for):
    drip = [step for _ in range(99) for step in (b"b\r\n: waiting\n\n\r\n", 0.02)]
    with RawServer([READ, *chunked(sse(*stream_of("Hel")[:2]))[:-1], *drip]) as server:
        watch = Stopwatch()

        token, failed = events(service_for(server.url, request_timeout_s=0.5))

        assert watch.elapsed_s() < 1.0
        assert token == Token("Hel")
        assert type(failed.error) is UpstreamTimeout


def test_the_deadline_holds_while_bytes_follow_the_end_of_a_stream(service_for):
    drip = [step for _ in range(200) for step in (b"2\r\n\n\n\r\n", 0.02)]
    with RawServer([READ, *STREAM[:-1], *drip]) as server:
        watch = Stopwatch()

        assert [type(event) for event in events(service_for(server.url, request_timeout_s=2))] == [
            Token,
            Token,
            Done,
        ]
        assert watch.elapsed_s() < 1.0


def test_ticks_pass_before_the_head_and_the_same_request_is_waited_for(service_for):
    with RawServer([READ, 0.12, *STREAM, READ, HELLO]) as server:
        service = service_for(server.url, heartbeat_s=0.03)

        batches = stream(service)

        assert batches[:2] == [[], []]
        assert [type(event) for batch in batches for event in batch] == [Token, Token, Done]
        assert chat(service) == "Hello"
        assert (server.connections, len(server.requests)) == (1, 2)


def test_ticks_pass_within_the_body(service_for):
    first, second = sse(*stream_of("Hel")[:2]), sse(*stream_of("lo")[1:])
    head, one, two, end = chunked(first, second)
    with RawServer([READ, head, one, 0.1, two, end]) as server:
        batches = stream(service_for(server.url, heartbeat_s=0.03))

    begun = batches.index([Token("Hel")])
    assert not any(batches[:begun])  # a busy machine may need a tick or two to get there
    assert batches[begun + 1] == []
    assert [type(event) for batch in batches[begun + 1 :] for event in batch] == [Token, Done]


def test_a_refusal_after_ticks_is_the_streams_end(service_for):
    with RawServer([READ, 0.05, answer(error(), status="500 Oops")]) as server:
        *ticks, last = stream(service_for(server.url, heartbeat_s=0.02))

    assert ticks
    assert not any(ticks)
    assert [type(failed.error) for failed in last] == [UpstreamFailed]


def test_whoever_leaves_while_waiting_for_the_head_closes_the_connection(service_for):
    with RawServer([READ]) as server:
        answering = service_for(server.url, heartbeat_s=0.02).stream_chat(CALL)
        assert next(iter(answering)) == []

        answering.close()

        wait_until(lambda: server.left == 1)


def test_calls_in_parallel_have_a_connection_each_and_do_not_wait_for_one_another(service_for):
    script = [READ, 0.1, HELLO, READ, HELLO]
    with RawServer(*[script] * 4) as server:
        service = service_for(server.url)
        texts = []
        threads = [threading.Thread(target=lambda: texts.append(chat(service))) for _ in range(4)]
        watch = Stopwatch()

        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert texts == ["Hello"] * 4
        assert watch.elapsed_s() < 0.3
        assert server.connections == 4
        assert chat(service) == "Hello"
        assert server.connections == 4


@pytest.mark.parametrize(
    "behind", [answer(completion("Forged")), b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", b"junk"]
)
def test_bytes_behind_an_answer_change_neither_it_nor_the_next_one(service_for, behind):
    with RawServer([READ, HELLO + behind], [READ, HELLO]) as server:
        service = service_for(server.url, request_timeout_s=2)

        assert [chat(service), chat(service)] == ["Hello", "Hello"]


@pytest.mark.skipif(not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists(), reason="no IPv6 here")
def test_an_upstream_may_be_named_by_an_ipv6_address(service_for):
    try:
        server = RawServer([READ, HELLO], host="::1")
    except OSError:
        pytest.skip("no IPv6 here")
    with server:
        assert chat(service_for(server.url)) == "Hello"
        assert f"Host: [::1]:{server.port}".encode() in server.requests[0]


def local(server):
    return server.url.replace("127.0.0.1", "localhost")


def test_tls_is_spoken_and_its_connection_kept(service_for, tls):
    context = tls("localhost")
    with RawServer([READ, HELLO, READ, *STREAM, READ, HELLO], tls=context) as server:
        service = service_for(local(server))

        assert [chat(service), text_of(service), chat(service)] == ["Hello"] * 3
        assert server.connections == 1


@pytest.mark.parametrize(("name", "is_trusted"), [("localhost", False), ("other.example", True)])
def test_a_certificate_that_is_not_trusted_or_anothers_is_a_failure(service_for, tls, name, is_trusted):
    with RawServer([READ, HELLO], tls=tls(name, is_trusted=is_trusted)) as server:
        with pytest.raises(UpstreamFailed):
            chat(service_for(local(server)))
        assert server.requests == []


def test_a_server_that_never_speaks_tls_is_given_up_after_the_connect_timeout(service_for):
    with RawServer([]) as server:
        watch = Stopwatch()

        with pytest.raises(UpstreamTimeout):
            chat(service_for(server.url.replace("http:", "https:"), connect_timeout_s=0.1))

        assert watch.elapsed_s() < 0.3


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_is_asked_for_a_tunnel(service_for, monkeypatch, variable):
    with RawServer([READ, HELLO, READ, HELLO]) as server, connect_proxy(server.port) as (port, asked):
        monkeypatch.setenv(variable, f"http://me:s%40cret@127.0.0.1:{port}")
        service = service_for("http://api.upstream.example/v1")

        assert [chat(service), chat(service)] == ["Hello", "Hello"]

        [request] = asked
        assert request.startswith(b"CONNECT api.upstream.example:80 HTTP/1.1\r\nHost: api.upstream.example:80\r\n")
        assert b"Proxy-Authorization: Basic bWU6c0BjcmV0\r\n" in request
        assert b"sk-test" not in request
        assert b"Proxy-Authorization" not in b"".join(server.requests)


def test_tls_goes_through_the_tunnel(service_for, tls, monkeypatch):
    context = tls("api.upstream.example")
    with RawServer([READ, HELLO], tls=context) as server, connect_proxy(server.port) as (port, asked):
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{port}")

        assert chat(service_for("https://api.upstream.example/v1")) == "Hello"
        assert asked[0].startswith(b"CONNECT api.upstream.example:443 ")


@pytest.mark.parametrize("status", [b"407 Proxy Authentication Required", b"403 Forbidden", b"502 Bad Gateway"])
def test_a_proxy_that_refuses_is_a_failure(service_for, monkeypatch, status):
    with connect_proxy(1, status) as (port, _):
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")

        with pytest.raises(UpstreamFailed):
            chat(service_for("http://api.upstream.example/v1"))


@pytest.mark.parametrize("exempt", ["127.0.0.1", "*", "example.com, 127.0.0.1"])
def test_no_proxy_is_honoured(service_for, monkeypatch, exempt):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", exempt)
    with RawServer([READ, HELLO]) as server:
        assert chat(service_for(server.url)) == "Hello"


@pytest.mark.parametrize("url", ["socks5://127.0.0.1:1080", "https://127.0.0.1:1", "http://"])
def test_a_proxy_of_another_kind_is_refused_at_the_start(service_for, monkeypatch, url):
    monkeypatch.setenv("HTTP_PROXY", url)

    with pytest.raises(ValueError, match="proxy"):
        service_for("http://api.upstream.example/v1")


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_certificates_that_are_not_there_are_told_at_the_start(monkeypatch, tmp_path, name):
    (tmp_path / "empty").write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / name))

    with pytest.raises(ValueError, match="SSL_CERT_FILE"):
        UpstreamClient("https://api.example/v1", connect_timeout_s=1)


def test_connections_kept_too_long_are_closed_when_another_comes_back(service_for, monkeypatch):
    with RawServer([READ, HELLO], [READ, HELLO, READ, HELLO]) as server:
        service = service_for(server.url)
        pool = pool_of(service)
        first = pool.connect(1.0)
        first.keep_alive = True
        pool.put(first)
        pool._idle[0].expires_at -= 1_000

        chat(service)

        assert first not in pool._idle


def test_connection_within_the_machine_is_there_without_waiting(monkeypatch):
    class NoPoll:
        def register(self, *_):
            raise AssertionError("it was waited for")

    monkeypatch.setattr(select, "poll", NoPoll)
    with socket.create_server(("127.0.0.1", 0)) as server:
        addresses = Addresses("127.0.0.1", server.getsockname()[1])
        with addresses.connect(time.monotonic() + 5) as sock:
            assert sock.getpeername() == server.getsockname()
    with pytest.raises(ConnectionRefusedError):
        addresses.connect(time.monotonic() + 5)
