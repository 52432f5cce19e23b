"""What large and hostile bodies, and large answers, do to the others of a worker: those that `make neighbours` sends."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.fakes.neighbour import Neighbour, neighbour
from tests.fakes.servers import exchange
from tests.fakes.upstreams.openai_answers import completion

IMAGES = 20 * 1024 * 1024 - 1000
pytestmark = pytest.mark.neighbours
_URL = b'{"prompt":"x","imageUrl":"data:image/png;base64,'
TEXT = 1024 * 1024 - 1000
INPUTS, DIMENSIONS = 2_048, 3_072


def filled(begin: bytes, item: bytes, end: bytes, size: int, separator: bytes = b",") -> bytes:
    count = (size - len(begin) - len(end)) // (len(item) + len(separator))
    return begin + (item + separator) * (count - 1) + item + end


HOSTILE: dict[str, tuple[str, Callable[[], bytes], int]] = {
    "lists": ("/api/vision", lambda: filled(b'{"prompt":[', b"[]", b"]}", IMAGES), 413),
    "objects": ("/api/vision", lambda: filled(b'{"prompt":[', b'{"":0}', b"]}", IMAGES), 413),
    "texts": ("/api/vision", lambda: filled(b'{"prompt":[', b'""', b"]}", IMAGES), 413),
    "one name many times": ("/api/vision", lambda: filled(b"{", b'"a":1', b"}", IMAGES), 413),
    "depth": ("/api/vision", lambda: b"[" * IMAGES, 413),
    "escapes": ("/api/vision", lambda: filled(b'{"prompt":"', b"\\u00e9", b'"}', IMAGES, b""), 413),
    "commas in a text": ("/api/vision", lambda: filled(b'{"prompt":"', b",", b'"}', IMAGES, b""), 413),
    "quotes in a text": (
        "/api/vision",
        lambda: filled(b'{"prompt":"', b'\\",' + b"a" * 60, b'"}', IMAGES),
        413,
    ),
    "digits": ("/api/vision", lambda: b'{"prompt":0.' + b"9" * IMAGES + b"}", 413),
    "not UTF-8": ("/api/vision", lambda: b'{"prompt":"' + b"\xff" * IMAGES + b'"}', 413),
    "a long URL": ("/api/vision", lambda: b'{"prompt":"x","imageUrl":"' + b"A" * IMAGES + b'"}', 413),
    "sparse escapes": ("/api/vision", lambda: filled(b'{"prompt":"', b"\\n" + b"a" * 58, b'"}', IMAGES, b""), 413),
    "one emoji": ("/api/vision", lambda: b'{"prompt":"' + b"a" * IMAGES + '😀"}'.encode(), 413),
    "one escaped emoji": ("/api/vision", lambda: b'{"prompt":"' + b"a" * IMAGES + b'\\ud83d\\ude00"}', 413),
    "many small data URLs": ("/api/vision", lambda: filled(b'{"prompt":[', b'"data:"', b"]}", IMAGES), 413),
    "what looks like a data URL": (
        "/api/vision",
        lambda: filled(b'{"prompt":"', b"data", b'"}', IMAGES, b""),
        413,
    ),
    "a data URL as prompt": (
        "/api/vision",
        lambda: b'{"prompt":"data:' + b"A" * IMAGES + b'","imageUrl":"x"}',
        413,
    ),
    "a data URL": ("/api/vision", lambda: _URL + b"A" * IMAGES + b'"}', 400),
    "a data URL with escapes": ("/api/vision", lambda: filled(_URL, b"\\/" + b"A" * 58, b'"}', IMAGES, b""), 400),
    "a data URL of escapes": ("/api/vision", lambda: filled(_URL, b"\\u002B", b'"}', IMAGES, b""), 400),
    "a data URL with an emoji": ("/api/vision", lambda: _URL + b"A" * IMAGES + '😀"}'.encode(), 400),
    "a data URL with an escaped emoji": ("/api/vision", lambda: _URL + b"A" * IMAGES + b'\\ud83d\\ude00"}', 400),
    "a data URL without an end": ("/api/vision", lambda: _URL + b"A" * IMAGES, 413),
    "text of the size of images": ("/api/chat", lambda: b'{"message":"' + b"x" * IMAGES + b'"}', 413),
    "lists in a text route": ("/api/chat", lambda: filled(b'{"messages":[', b"[]", b"]}", TEXT), 400),
    "messages": (
        "/api/chat",
        lambda: filled(b'{"messages":[', b'{"role":"user","content":"x"}', b"]}", TEXT),
        400,
    ),
    "lists within the bound": ("/api/chat", lambda: filled(b'{"variables":{"a":[', b"[]", b"]}}", 70_000), 400),
    "NUL": ("/api/chat", lambda: filled(b'{"variables":{"a":["\\u0000",', b"0", b"]}}", 90_000), 400),
    "not finite": ("/api/chat", lambda: filled(b'{"variables":{"a":[NaN,', b'{"":0}', b"]}}", 160_000), 400),
    "long text": ("/api/chat", lambda: b'{"message":"' + b"\\n" * 499_000 + b'x"}', 200),
}


@pytest.fixture(scope="module")
def near() -> Iterator[Neighbour]:
    with neighbour() as near:
        yield near


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_costs_the_others_nothing(near: Neighbour, name: str) -> None:
    assert_harmless(near, name)


def assert_harmless(near: Neighbour, name: str) -> None:
    route, make, status = HOSTILE[name]

    near.assert_harmless(route, make(), status, {"Content-Type": "application/json"})


_VECTOR = json.dumps([-0.012345678] * DIMENSIONS).encode()


def large_vectors(count: int) -> list[bytes]:
    """An answer with so many vectors of 3,072 numbers, in the form that OpenAI sends them, in pieces."""
    pieces = [b'{"data":[']
    for index in range(count):
        pieces += [
            b'%b{"object":"embedding","index":%d,"embedding":' % (b"," if index else b"", index),
            _VECTOR,
            b"}",
        ]
    return [*pieces, b'],"model":"m","usage":{"prompt_tokens":%d,"total_tokens":%d}}' % (count, count)]


def pass_vectors_on(near: Neighbour) -> None:
    """Ask for more vectors than a worker may hold, and read them."""
    texts = [f"text {number}" for number in range(INPUTS)]
    with (
        near.watch(sent_bytes=40_000) as harm,
        exchange(near.port, "POST", "/api/embeddings", {"input": texts}) as response,
    ):
        assert response.status == 200
        size = sum(map(len, iter(lambda: response.read(1_000_000), b"")))
    assert size > INPUTS * len(_VECTOR)
    harm.assert_bearable()


class _LargeVectors(BaseHTTPRequestHandler):
    """Answers with as many large vectors as there are inputs."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "messages" in body:
            self._begin(len(content := json.dumps(completion()).encode()))
            self.wfile.write(content)
            return
        pieces = large_vectors(len(body["input"]))
        self._begin(sum(map(len, pieces)))
        self.wfile.writelines(pieces)

    def _begin(self, length: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Stay silent."""


@pytest.fixture(scope="module")
def vectors_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _LargeVectors) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("cached", [0, 4_096])
def test_many_large_vectors_are_passed_on_without_being_held(vectors_url: str, cached: int) -> None:
    texts = [f"text {number}" for number in range(INPUTS)]
    with neighbour(OPENAI_BASE_URL=vectors_url, EMBEDDING_CACHE_ENTRIES=str(cached)) as near:
        for _ in range(2):
            pass_vectors_on(near)
        with (
            near.watch(sent_bytes=40_000) as harm,
            exchange(
                near.port, "POST", "/api/embeddings/similarity", {"query": texts[0], "documents": texts[1:]}
            ) as response,
        ):
            assert len(json.loads(response.read())["results"]) == INPUTS - 1
        harm.assert_bearable()
