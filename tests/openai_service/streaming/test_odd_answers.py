"""What an upstream, or something on the way there, may send for an answer: each is read rightly, or an error."""

from __future__ import annotations

import gzip
import json
import os
import re
import time
import zlib
from contextlib import ExitStack, closing

import brotli
import httpx2
import pytest

from app import create_app
from app.config import Config
from app.storage.shared_state import MemoryState
from app.upstream_http.client import UpstreamClient
from app.upstream_http.decoding import zstd
from tests.fakes.servers import wait_until
from tests.fakes.tables import crossed, each_row, further, in_part
from tests.fakes.upstreams.openai_answers import MODEL, USAGE, chunk, completion, embeddings, sse, stream_of
from tests.fakes.upstreams.raw_server import CLOSE, READ, RESET, RawServer, answer, chunked
from tests.fakes.wire.bodies import EVERY_SMALLEST, ONE_OF_EACH_KIND, OTHER_ROUTES, ROUTES, SMALLEST
from tests.fakes.wire.reading import events_of, without_padding

pytestmark = pytest.mark.one_attempt

CHAT = {"messages": [{"role": "user", "content": "Hi"}]}
STREAMED_ROUTES = ["/api/chat/stream", "/api/chat/openai", "/api/vision/stream", "/api/structured/stream"]
PLAIN_ROUTES = [route for route in ROUTES if route not in STREAMED_ROUTES]
BOTH = ["/api/chat", "/api/chat/stream"]
EVENT_STREAM = {"Content-Type": "text/event-stream; charset=utf-8"}
WHOLE_STREAM = sse(*stream_of("Hel", "lo"))


@pytest.fixture
def patient(records, make_app):
    """A client for which no failure opens a circuit."""
    return make_app(breaker_failures=1_000).test_client()


@pytest.fixture
def real_client(monkeypatch, records):
    """Asks an upstream on a real socket, by the application's own HTTP client."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    with ExitStack() as stack:

        def make(server):
            config = Config(
                openai_api_key="sk-test",
                openai_base_url=server.url,
                request_timeout_s=5,
                retry_max_attempts=1,
                chat_fallback_models=(),
            )
            http_client = stack.enter_context(closing(UpstreamClient(server.url, connect_timeout_s=1)))
            return create_app(config, http_client=http_client, shared_state=MemoryState()).test_client()

        yield make


def failure_of(answer):
    """The error that a stream's visitor is told, be it by the status or by the last event."""
    if answer.status_code != 200:
        return answer.status_code, answer.json.get("code")
    *told, failure = events_of(answer.data)
    assert told
    assert all(list(event) == ["token"] for event in told)
    assert list(failure) == ["error", "code", "requestId"]
    return 200, failure["code"]


def read(client):
    """The text of a streamed answer, and its end."""
    *tokens, done = events_of(client.post("/api/chat/stream", json=CHAT).data)
    return "".join(event["token"] for event in tokens), done


HEADS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 206 PartialParsed Content\r\nContent-Length: 4\r\n\r\nnull",
    b"HTTP/1.1 304 Not Modified\r\n\r\n",
]


class TestAnotherKindOfBody:
    def test_a_stream_of_events_has_no_vectors(self, make_app, upstream, records):
        upstream.answers(WHOLE_STREAM, headers=EVENT_STREAM)

        answered = make_app().test_client().post("/api/embeddings", json=SMALLEST["/api/embeddings"])
        assert failure_of(answered) == (502, "upstream_failed")
        assert [record.outcome for record in records] == ["upstream_error"]

    @each_row("route", BOTH)
    @each_row(
        ("content_type", "body"),
        [
            ("text/html", b"<!doctype html>\n\ndata: \n\n<p>data: {}</p>"),
            ("text/html", b"<!doctype html>\n\ndata: busy\n\n"),
            ("text/plain", b"upstream connect error or disconnect/reset before headers"),
            ("application/octet-stream", bytes(range(256)) * 50),
            ("image/png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
            ("application/xml", b'<?xml version="1.0"?><Error/>'),
            ("text/event-stream", b"event: ping\n\n" * 20),
            ("text/event-stream", b"\xef\xbb\xbf\n\n"),
            ("application/json", b"\n" * 5_000),
            ("application/x-ndjson", b'{"response":"Hi","done":false}\n{"response":"","done":true}\n'),
        ],
    )
    def test_another_media_type_is_a_failure(self, patient, upstream, route, content_type, body):
        upstream.answers(body, headers={"Content-Type": content_type})

        assert failure_of(patient.post(route, json=CHAT)) == (502, "upstream_failed")

    @each_row(
        "change",
        [
            lambda body: b"\xef\xbb\xbf" + body,
            lambda body: b"\xef\xbb\xbf" + body.replace(b"\n", b"\r\n"),
            lambda body: body.replace(b"[DONE]", b"[DONE]  "),
            lambda body: body.replace(b"data: ", b"data:  "),
            lambda body: body.replace(b"data: ", b"data:\t"),
            lambda body: b"\n\n: waiting\n\n" + body.replace(b"\n", b"\r"),
        ],
        ids=["BOM", "BOM and CRLF", "spaces behind DONE", "two spaces", "tab", "CR"],
    )
    @pytest.mark.chat_form
    def test_what_is_around_the_events_of_a_stream_changes_nothing(self, client, upstream, change):
        for body in (WHOLE_STREAM, change(WHOLE_STREAM)):
            upstream.answers(body, headers=EVENT_STREAM)
            text, done = read(client)
            assert (text, done["done"], done["usage"]) == ("Hello", True, USAGE)

    @pytest.mark.parametrize(
        "content_type", ["application/json", "", *further("text/plain", "application/octet-stream")]
    )
    @pytest.mark.chat_form
    def test_what_counts_is_the_body_and_not_what_it_is_called(self, client, upstream, content_type):
        upstream.answers(completion("Hello"), headers={"Content-Type": content_type})
        upstream.answers(WHOLE_STREAM, headers={"Content-Type": content_type})

        assert client.post("/api/chat", json=CHAT).json["reply"] == "Hello"
        assert read(client)[0] == "Hello"

    @pytest.mark.parametrize(("route", "head"), crossed(BOTH, HEADS))
    def test_an_answer_without_a_body_is_a_failure(self, real_client, records, route, head):
        with RawServer([READ, head]) as server:
            assert failure_of(real_client(server).post(route, json=CHAT)) == (502, "upstream_failed")
        assert [record.outcome for record in records] in (["upstream_error"], ["upstream_truncated"])


EARLY = [("413 Content Too Large", 413), ("401 Unauthorized", 502), ("400 Bad Request", 400)]


class TestAnEarlyAnswer:
    """Which comes before the request has been read, and after which the connection breaks."""

    @pytest.mark.parametrize(
        ("route", "status", "ours"),
        [*crossed(ONE_OF_EACH_KIND, EARLY), *crossed(OTHER_ROUTES, EARLY, by_default=[])],
    )
    def test_of_any_route_is_what_the_visitor_is_told(self, real_client, records, route, status, ours):
        early = answer({"error": {"message": "no", "type": "t"}}, status=status)
        with RawServer([early, 0.05, RESET], [early, 0.05, RESET]) as server:
            assert real_client(server).post(route, json=EVERY_SMALLEST[route]).status_code == ours
            assert server.connections == 1
        assert [(record.outcome == "rejected") for record in records] == [ours != 502]


def packed(method, content):
    if method == "br":
        return brotli.compress(content)
    if method == "zstd":
        return zstd.compress(content)
    raw = zlib.compressobj(wbits={"gzip": 31, "deflate": 15}[method])
    return raw.compress(content) + raw.flush()


NOT_PACKED = {
    "cut off": ("gzip", gzip.compress(json.dumps(completion()).encode(), mtime=0)[:-20]),
    "not packed": ("gzip", json.dumps(completion()).encode()),
    "nothing": ("gzip", b""),
    "junk": ("deflate", b"\0\xff" * 30),
    "no brotli": ("br", json.dumps(completion()).encode()),
    "brotli of no JSON": ("br", b"\x8b\x0f\x80Hello\x03"),
    "no zstd": ("zstd", json.dumps(completion()).encode()),
    "unknown": ("x-own", gzip.compress(b"{}", mtime=0)),
}


class TestACompressedBody:
    """Which nobody asked for."""

    @pytest.mark.parametrize("method", ["gzip", "deflate", "br", "zstd"])
    def test_in_one_piece_is_unpacked(self, real_client, method):
        body = packed(method, json.dumps(completion("Hello")).encode())
        with RawServer([READ, answer(body, f"Content-Encoding: {method}")]) as server:
            assert real_client(server).post("/api/chat", json=CHAT).json["reply"] == "Hello"

    @pytest.mark.parametrize(
        ("route", "encoding", "body"),
        crossed(PLAIN_ROUTES, NOT_PACKED, by_default=NOT_PACKED.keys() - {"nothing", "brotli of no JSON"}),
    )
    def test_in_one_piece_that_cannot_be_unpacked_is_a_failure(self, real_client, records, route, encoding, body):
        with RawServer([READ, answer(body, f"Content-Encoding: {encoding}")]) as server:
            assert failure_of(real_client(server).post(route, json=SMALLEST[route])) == (502, "upstream_failed")
        assert [record.outcome for record in records] == ["upstream_error"]

    @pytest.mark.parametrize("method", ["gzip", "deflate", "br", "zstd"])
    def test_of_a_stream_is_unpacked(self, real_client, method):
        body = packed(method, WHOLE_STREAM)
        with RawServer([READ, answer(body, f"Content-Encoding: {method}")]) as server:
            assert events_of(real_client(server).post("/api/chat/stream", json=CHAT).data)[-1]["done"] is True

    @pytest.mark.parametrize(
        ("route", "status", "ours"),
        crossed(BOTH, [("500 Oops", 502), ("429 Slow down", 503), ("400 Bad Request", 400)]),
    )
    def test_of_an_error_does_not_hide_its_status(self, real_client, route, status, ours):
        body = packed("gzip", b'{"error": {}}')
        with RawServer([READ, answer(body, "Content-Encoding: gzip", status=status)]) as server:
            assert real_client(server).post(route, json=CHAT).status_code == ours

    @pytest.mark.parametrize(("route", "status"), crossed(BOTH, ["500 Oops", "429 Slow down", "400 Bad Request"]))
    def test_of_an_error_that_cannot_be_unpacked_is_a_failure(self, real_client, route, status):
        with RawServer([READ, answer(b"{}", "Content-Encoding: gzip", status=status)]) as server:
            assert failure_of(real_client(server).post(route, json=CHAT)) == (502, "upstream_failed")


# Half of a letter: as JSON may write it, and as bytes that are no UTF-8.
LONE = {
    "escaped high": rb"\ud83d",
    "escaped low": rb"\ude00",
    "bytes": b"\xed\xa0\xbd",
    "half a letter": b"\xf0\x9f\x98",
}


def spoilt(body, lone):
    return json.dumps(body).encode().replace(b"LONE", lone)


@pytest.mark.parametrize("lone", in_part(LONE, by_default={"escaped high", "bytes"}))
class TestLoneSurrogates:
    @each_row("field", ["content", "refusal", "name", "arguments", "call", "model", "id", "usage"])
    def test_are_replaced_in_an_answer(self, client, upstream, field, lone):
        spelt = dict.fromkeys(["content", "refusal", "name", "arguments", "call", "model", "id", "usage"], "a b")
        spelt[field] = "a LONE b"
        call = {"id": spelt["call"], "function": {"name": spelt["name"], "arguments": spelt["arguments"]}}
        body = completion(spelt["content"], refusal=spelt["refusal"], tool_calls=[call])
        body |= {"model": spelt["model"], "id": spelt["id"], "usage": {spelt["usage"]: 1}}
        upstream.answers(spoilt(body, lone))

        answer = client.post("/api/chat", json=CHAT)

        assert answer.status_code == 200
        assert ("\ufffd" in answer.get_data(as_text=True)) == (field != "refusal")  # a text goes before it
        answer.data.decode("utf-8")

    @each_row("text", ["LONE", "a LONE b", "a LONE", "LONE b"])
    @each_row("field", ["content", "refusal"])
    @pytest.mark.chat_form
    def test_are_replaced_in_a_stream(self, patient, upstream, records, text, field, lone):
        records.clear()
        pieces = [
            sse(*stream_of("Hel")[:2]),
            b"data: " + spoilt(chunk({field: text}), lone) + b"\n\n",
            sse(*stream_of("lo")),
        ]
        for bytes_ in (pieces, [b"".join(pieces)]):
            upstream.streams_bytes(bytes_)

            told, done = read(patient)

            assert sorted(re.sub("\ufffd+", "\ufffd", told)) == sorted(f"Hel{text.replace('LONE', chr(0xFFFD))}lo")
            assert done["usage"] == USAGE
        assert [record.outcome for record in records] == ["complete"] * 2

    @pytest.mark.chat_form
    def test_are_replaced_in_a_chunk_as_openai_writes_it(self, client, upstream, lone):
        own = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":null}]}\n\n'
        upstream.streams_bytes([own % b"Hel", own % lone, WHOLE_STREAM])

        assert re.fullmatch("Hel\ufffd+Hello", read(client)[0])

    def test_in_the_model_of_vectors_are_a_failure(self, client, upstream, lone):
        upstream.answers(spoilt(embeddings([[1]]) | {"model": "LONE"}, lone))

        assert failure_of(client.post("/api/embeddings", json={"input": "a"})) == (502, "upstream_failed")

    @each_row("route", BOTH)
    @each_row("status", [400, 429, 500])
    def test_in_an_error_do_not_hide_its_status(self, patient, upstream, route, status, lone):
        upstream.answers(spoilt({"error": {"message": "LONE", "code": "LONE"}}, lone), status=status)

        assert patient.post(route, json=CHAT).status_code == {400: 400, 429: 503, 500: 502}[status]


def test_a_pair_of_surrogates_is_one_letter(client, upstream):
    upstream.streams_bytes([sse(*stream_of("\U0001f600"))])
    upstream.answers(json.dumps(completion("\U0001f600")).encode())

    assert read(client)[0] == "\U0001f600"
    assert client.post("/api/chat", json=CHAT).json["reply"] == "\U0001f600"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
class TestNumbersThatAreNone:
    def test_in_an_answer_are_a_failure(self, client, upstream, number):
        upstream.answers(json.dumps(completion(usage={"x": 7})).replace("7}", f"{number}}}").encode())

        assert failure_of(client.post("/api/chat", json=CHAT)) == (502, "upstream_failed")

    @pytest.mark.chat_form
    def test_in_a_stream_are_a_failure_after_what_came_before(self, client, upstream, number):
        upstream.streams(chunk({"content": "Hel"}), f'{{"usage":{{"x":{number}}}}}', *stream_of("lo"))

        assert failure_of(client.post("/api/chat/stream", json=CHAT)) == (200, "upstream_failed")

    def test_in_the_usage_of_vectors_are_a_failure(self, client, upstream, number):
        body = json.dumps(embeddings([[1]])).replace('"total_tokens": 5', f'"total_tokens": {number}')
        upstream.answers(body.encode())

        assert failure_of(client.post("/api/embeddings", json={"input": "a"})) == (502, "upstream_failed")


NO_TEXTS = each_row("content", [1, True, [1], [["Hello"]], [{"type": "text", "text": "Hello"}, None]])


class TestContentThatIsNoText:
    @NO_TEXTS
    @pytest.mark.chat_form
    def test_in_an_answer_is_a_failure(self, patient, upstream, content):
        upstream.answers(completion(content))

        assert failure_of(patient.post("/api/chat", json=CHAT)) == (502, "upstream_failed")

    @NO_TEXTS
    @pytest.mark.chat_form
    def test_in_a_stream_is_a_failure(self, patient, upstream, content):
        upstream.streams(chunk({"content": content}), *stream_of())

        assert failure_of(patient.post("/api/chat/stream", json=CHAT)) == (502, "upstream_failed")


class TestLargeAndSplit:
    def test_a_line_of_five_megabytes_is_read_in_time(self, real_client):
        text = "Ж" * 2_500_000
        line = b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % text.encode()
        assert len(line) > 5_000_000
        with RawServer([READ, *chunked(*_cut(line, 100_000), sse(*stream_of()))]) as server:
            client = real_client(server)
            begun = time.process_time()

            assert read(client)[0] == text

        assert time.process_time() - begun < 3

    def test_a_line_that_does_not_end_is_a_failure_and_closed(self, real_client):
        with RawServer([READ, *chunked(sse(*stream_of("Hel")[:2]), *[b"x" * 1_000_000] * 20)]) as server:
            assert failure_of(real_client(server).post("/api/chat/stream", json=CHAT)) == (200, "upstream_failed")

    @pytest.mark.parametrize("letter", ["é", "\U0001f600", *further("Ж", "€")])
    def test_a_letter_may_be_split_over_two_writes(self, real_client, letter):
        body = json.dumps(completion(f"a{letter}b"), ensure_ascii=False).encode()
        event = b"data: " + json.dumps(chunk({"content": f"a{letter}b"}), ensure_ascii=False).encode() + b"\n\n"
        whole = answer(body)
        for cut in range(1, len(letter.encode())):
            at = whole.index(letter.encode()) + cut
            in_event = event.index(letter.encode()) + cut
            stream = chunked(sse(*stream_of()[:1]), event[:in_event], event[in_event:], sse(*stream_of()[1:]))
            script = [READ, whole[:at], 0.005, whole[at:], READ]
            with RawServer([*script, *[step for piece in stream for step in (piece, 0.002)]]) as server:
                client = real_client(server)

                assert client.post("/api/chat", json=CHAT).json["reply"] == f"a{letter}b"
                assert read(client)[0] == f"a{letter}b"


def _cut(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


TOKENS = [chunk({"content": "Hel"}), chunk({"content": "lo"})]
STOP = chunk(finish_reason="stop")
OF_USAGE = {**chunk(), "choices": [], "usage": USAGE}
AZURE_FIRST = {"id": "", "model": "", "object": "", "created": 0, "choices": [], "prompt_filter_results": [{}]}

# Streams that are whole, though not as OpenAI's are; and the usage that they tell.
WHOLE = {
    "no usage": ([*TOKENS, STOP, "[DONE]"], None),
    "usage after the finish reason": ([*TOKENS, STOP, OF_USAGE, "[DONE]"], USAGE),
    "usage with the finish reason": ([*TOKENS, STOP | {"usage": USAGE}, "[DONE]"], USAGE),
    "usage before the finish reason": ([OF_USAGE, *TOKENS, STOP, "[DONE]"], USAGE),
    "usage of null everywhere": ([piece | {"usage": None} for piece in (*TOKENS, STOP)] + ["[DONE]"], None),
    "usage that grows": ([TOKENS[0] | {"usage": {"x": 1}}, TOKENS[1], STOP | {"usage": USAGE}, "[DONE]"], USAGE),
    "usage of another kind": ([*TOKENS, STOP, {**OF_USAGE, "usage": 12}, "[DONE]"], None),
    "no [DONE]": ([*TOKENS, STOP, OF_USAGE], USAGE),
    "neither usage nor [DONE]": ([*TOKENS, STOP], None),
    "the finish reason with the last token": ([TOKENS[0], chunk({"content": "lo"}, finish_reason="stop")], None),
    "Azure's first chunk": ([AZURE_FIRST, *TOKENS, STOP, OF_USAGE, "[DONE]"], USAGE),
    "chunks of no choice": ([*[piece | {"choices": []} for piece in TOKENS], *TOKENS, STOP, "[DONE]"], None),
    "choices of null": ([STOP | {"choices": None}, *TOKENS, STOP, "[DONE]"], None),
    "deltas of null": ([STOP | {"choices": [{"delta": None}]}, *TOKENS, STOP, "[DONE]"], None),
    "an error of null": ([piece | {"error": None} for piece in (*TOKENS, STOP)] + ["[DONE]"], None),
    "tokens behind the finish reason": ([TOKENS[0], STOP, TOKENS[1], "[DONE]"], None),
    "chunks behind [DONE]": ([*TOKENS, STOP, "[DONE]", chunk({"content": "forged"}), "[DONE]"], None),
    "an error behind [DONE]": ([*TOKENS, STOP, "[DONE]", {"error": {"message": "late"}}], None),
    "no JSON behind [DONE]": ([*TOKENS, STOP, "[DONE]", "{"], None),
}


class TestOddStreams:
    @each_row(("payloads", "usage"), WHOLE.values(), ids=WHOLE)
    @pytest.mark.chat_form
    def test_a_whole_one_is_told_whole(self, patient, upstream, records, payloads, usage):
        records.clear()
        pieces = [b": comment\n\n" + sse(payload) for payload in payloads]
        ways = [pieces, [b"".join(pieces)], [piece.replace(b"\n", b"\r\n") for piece in pieces]]
        for way in ways:
            upstream.streams_bytes(way)

            text, done = read(patient)

            assert text == "Hello"
            assert done == {
                "done": True,
                "finishReason": "stop",
                "usage": usage,
                "model": MODEL,
                "id": "chatcmpl-1",
            }
        assert [(record.outcome, record.usage and record.usage.raw) for record in records] == [
            ("complete", usage)
        ] * len(ways)

    @pytest.mark.parametrize("behind", [b"data: {\n\n", WHOLE_STREAM, b"\xff\0", b"data: " + b"x" * 9_000_000])
    def test_what_comes_behind_done_in_reality_is_nobodys(self, real_client, behind):
        with RawServer([READ, *chunked(WHOLE_STREAM + behind)], [READ, *chunked(WHOLE_STREAM, behind)]) as server:
            for _ in range(2):
                text, done = read(real_client(server))
                assert (text, done["usage"]) == ("Hello", USAGE)

    @pytest.mark.parametrize("end", [[], [OF_USAGE], [chunk(finish_reason="")]])
    @pytest.mark.parametrize("in_one", [False, True])
    def test_one_without_a_finish_reason_and_a_mark_is_never_done(self, make_app, upstream, records, end, in_one):
        pieces = [sse(payload) for payload in [*TOKENS, *end]]
        upstream.streams_bytes([b"".join(pieces)] if in_one else pieces)

        answered = make_app().test_client().post("/api/chat/stream", json=CHAT)

        assert failure_of(answered) == (200, "upstream_truncated")
        assert b'{"token":"Hel"}' in without_padding(answered.data)
        assert b'{"token":"lo"}' in without_padding(answered.data)
        [record] = records
        assert (record.outcome, record.finish_reason) == ("upstream_truncated", None)
        assert record.first_token_ms is not None

    @each_row(
        "payload",
        [
            "null",
            "1",
            "[]",
            '"x"',
            "{",
            "[DONE",
            "DONE",
            "[done]",
            '{"choices":',
            "<html>",
            {"error": "x"},
            {"error": [1]},
        ],
    )
    @pytest.mark.chat_form
    def test_an_event_that_is_no_chunk_is_the_end(self, patient, upstream, payload):
        upstream.streams(*TOKENS, payload, STOP, "[DONE]")

        assert failure_of(patient.post("/api/chat/stream", json=CHAT)) == (200, "upstream_failed")

    @pytest.mark.parametrize(
        ("fault", "code", "outcome"),
        [
            ({"message": "x", "code": "rate_limit_exceeded"}, "upstream_rate_limited", "upstream_error"),
            ({"message": "x", "type": "server_error"}, "upstream_failed", "upstream_error"),
            ({"message": "x", "code": 502, "metadata": {}}, "upstream_failed", "upstream_error"),
            ({"message": "x", "code": "content_filter"}, "content_filter", "rejected"),
            ("overloaded", "upstream_failed", "upstream_error"),
        ],
    )
    def test_an_error_event_in_a_200_is_told_by_its_meaning(
        self, make_app, upstream, records, fault, code, outcome
    ):
        client = make_app().test_client()
        for name in (b"event: error\n", b""):
            upstream.streams_bytes([sse(*TOKENS), name + sse({"error": fault}), sse(STOP, "[DONE]")])

            assert failure_of(client.post("/api/chat/stream", json=CHAT)) == (200, code)
        assert [record.outcome for record in records] == [outcome] * 2

    @pytest.mark.parametrize(
        ("fault", "code", "outcome"),
        [
            (httpx2.ReadError("x"), "upstream_failed", "upstream_error"),
            (httpx2.RemoteProtocolError("x"), "upstream_failed", "upstream_error"),
            (httpx2.ReadTimeout("x"), "upstream_timeout", "upstream_timeout"),
            (RuntimeError("x"), "internal_error", "internal_error"),
            (ValueError("x"), "internal_error", "internal_error"),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_an_exception_of_another_kind_amid_it_is_an_event_too(
        self, make_app, upstream, records, fault, code, outcome
    ):
        upstream.streams_bytes([sse(*TOKENS), fault])

        assert failure_of(make_app().test_client().post("/api/chat/stream", json=CHAT)) == (200, code)
        assert [record.outcome for record in records] == [outcome]
        assert upstream.open_streams == 0

    def test_bare_text_that_breaks_ends_without_its_proper_end(self, client, upstream):
        upstream.streams_bytes([sse(*TOKENS), httpx2.ReadError("x")])

        answered = client.post("/api/chat/openai", json={"chatSettings": {}, **CHAT}, buffered=False)

        with pytest.raises(ConnectionResetError):
            list(answered.response)
        answered.close()
        assert upstream.open_streams == 0


def test_no_usage_is_told_as_null(make_app, upstream, records):
    client = make_app().test_client()
    for usage in (None, "x", [], 12):
        upstream.answers(completion("Hello", usage=usage))

        assert client.post("/api/chat", json=CHAT).json["usage"] is None
    assert [record.usage for record in records] == [None] * 4


@pytest.mark.parametrize("ending", [[CLOSE], [0.01, CLOSE]])
def test_a_kept_connection_that_had_ended_counts_as_no_attempt(real_client, records, ending):
    hello = answer(completion("Hello"))
    with RawServer([READ, hello, *ending], [READ, hello]) as server:
        client = real_client(server)

        for _ in range(2):
            assert client.post("/api/chat", json=CHAT).headers["X-Attempts"] == "1"
            # What is sent before the server has closed may have been read, and would be an attempt.
            wait_until(lambda: server.connections == 2 or not server.open_connections, "the server has closed")

        assert server.connections == 2
    assert [(record.attempts, record.waited_ms) for record in records] == [(1, 0), (1, 0)]
