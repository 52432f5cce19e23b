"""A fake OpenAI with minimal cost: `python -m bench.upstream.server` prints its port, then serves.

How to answer comes with the request, in the model's name (see answers.Script), so that it passes through any
server in between. Each chunk of a stream carries the time it was sent, on the clock that all processes share,
so that the load client can tell the delay of every single one. GET /stats says how many calls there were.
"""

import gc
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from app.models.families import find_refusal
from bench.loop import READ, READ_WRITE, WRITE, Loop
from bench.upstream import answers, response_answers

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_MODEL = re.compile(rb'"model" *: *"([^"]*)"')
_STREAM = re.compile(rb'"stream" *: *true')
_USAGE = re.compile(rb'"include_usage" *: *true')
_HEAD_BYTES, _MAX_KNOWN = 512, 1_000
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Counter:
    """The number of calls of all connections since the start."""

    calls: int = 0


class Refusals:
    """Refuses what OpenAI refuses. Bodies with the same beginning and length are checked only once."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes, int], bytes | None] = {}

    def find(self, request_line: bytes, body: bytes) -> bytes | None:
        """Return the answer to a request that is refused."""
        key = request_line, body[:_HEAD_BYTES], len(body)
        if key not in self._known:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            refusal = find_refusal(request_line.split(b" ")[1].decode(), orjson.loads(body))
            self._known[key] = None if refusal is None else answers.refuse(refusal.status, refusal.error)
        return self._known[key]


class Connection:
    """One client's connection: reads complete requests, answers each, and stays open."""

    def __init__(self, loop: Loop, sock: socket.socket, counter: Counter, refusals: Refusals) -> None:
        self._loop = loop
        self._sock = sock
        self._counter = counter
        self._refusals = refusals
        self._received = b""
        self._unsent = memoryview(b"")
        self._is_open = True
        loop.watch(sock.fileno(), self._on_ready)

    def _on_ready(self, events: int) -> None:
        if self._unsent:
            self._flush()
            if self._is_open and not self._unsent:
                self._loop.change(self._sock.fileno(), READ)
        if not self._is_open or not events & ~WRITE:
            return
        try:
            data = self._sock.recv(1 << 18)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._close()
            return
        self._received += data
        while self._is_open and self._take_request():
            pass

    def _take_request(self) -> bool:
        """Answer one request if it has arrived completely."""
        received = self._received
        head_end = received.find(b"\r\n\r\n")
        if head_end < 0:
            return False
        length = _LENGTH.search(received, 0, head_end)
        end = head_end + 4 + (int(length[1]) if length else 0)
        if len(received) < end:
            return False
        self._received = received[end:]
        self._answer(received[: received.index(b"\r\n")], received[head_end + 4 : end])
        return True

    def _answer(self, request_line: bytes, body: bytes) -> None:
        if request_line.startswith(b"GET /stats "):
            self._send(answers.whole(orjson.dumps({"calls": self._counter.calls})))
            return
        self._counter.calls += 1
        found = _MODEL.search(body)
        if found is None:
            self._send(_BAD_REQUEST)
            return
        if (refused := self._refusals.find(request_line, body)) is not None:
            self._send(refused)
            return
        model = found[1].decode()
        if b"/embeddings " in request_line:
            self._answer_embeddings(model, body)
        elif b"/responses " in request_line and _STREAM.search(body):
            self._later(model, ResponseStream(self._loop, self._send, model).start)
        elif b"/responses " in request_line:
            self._later(model, lambda: self._send(response_answers.response(model)))
        elif _STREAM.search(body):
            self._later(model, ChatStream(self._loop, self._send, model, bool(_USAGE.search(body))).start)
        else:
            self._later(model, lambda: self._send(answers.chat(model)))

    def _answer_embeddings(self, model: str, body: bytes) -> None:
        params = orjson.loads(body)
        inputs = 1 if isinstance(params["input"], str) else len(params["input"])
        self._send(answers.embeddings(model, inputs, params.get("encoding_format") == "base64"))

    def _later(self, model: str, action: Callable[[], object]) -> None:
        delay_ms = answers.Script.of(model).delay_ms
        if delay_ms:
            self._loop.at(time.monotonic_ns() + delay_ms * 1_000_000, action)
        else:
            action()

    def _send(self, data: bytes) -> bool:
        """Send what the socket accepts now, and the rest later. Return False if the client has disconnected."""
        if self._is_open and self._unsent:
            self._unsent = memoryview(self._unsent.tobytes() + data)
        elif self._is_open:
            self._unsent = memoryview(data)
            self._flush()
            if self._unsent:
                self._loop.change(self._sock.fileno(), READ_WRITE)
        return self._is_open

    def _flush(self) -> None:
        try:
            self._unsent = self._unsent[self._sock.send(self._unsent) :]
        except BlockingIOError:
            return
        except ConnectionError:
            self._close()

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._unsent = memoryview(b"")
            self._loop.forget(self._sock.fileno())
            self._sock.close()


class Stream:
    """One streamed answer: a chunk at once, then one at each interval, then the end."""

    def __init__(self, loop: Loop, send: Callable[[bytes], bool], model: str) -> None:
        script = answers.Script.of(model)
        self._loop = loop
        self._send = send
        self._model = model
        self._sent = 0
        self._chunks = script.chunks
        self._interval_ns = script.interval_ms * 1_000_000
        self._next_ns = 0

    def start(self) -> None:
        """Send the headers and the first chunk."""
        self._next_ns = time.monotonic_ns()
        self._step(answers.stream_opening() + self._opening())

    def _step(self, opening: bytes = b"") -> None:
        if self._sent == self._chunks:
            self._send(self._end())
            return
        chunk = opening + self._chunk(time.monotonic_ns())
        self._sent += 1
        if self._send(chunk):
            self._next_ns += self._interval_ns
            self._loop.at(self._next_ns, self._step)

    def _opening(self) -> bytes:
        raise NotImplementedError

    def _chunk(self, stamp_ns: int) -> bytes:
        raise NotImplementedError

    def _end(self) -> bytes:
        raise NotImplementedError


class ChatStream(Stream):
    """The chunks of a chat completion."""

    def __init__(self, loop: Loop, send: Callable[[bytes], bool], model: str, with_usage: bool) -> None:
        super().__init__(loop, send, model)
        self._before, self._after = answers.stamped_chunk(model)
        self._with_usage = with_usage

    def _opening(self) -> bytes:
        return answers.role_chunk(self._model)

    def _chunk(self, stamp_ns: int) -> bytes:
        return b"%b%020d%b" % (self._before, stamp_ns, self._after)

    def _end(self) -> bytes:
        return answers.stream_end(self._model, self._with_usage)


class ResponseStream(Stream):
    """The numbered events of a response."""

    def __init__(self, loop: Loop, send: Callable[[bytes], bool], model: str) -> None:
        super().__init__(loop, send, model)
        self._pieces = response_answers.stamped_event(model)

    def _opening(self) -> bytes:
        return response_answers.opening_events(self._model)

    def _chunk(self, stamp_ns: int) -> bytes:
        before, between, after = self._pieces
        return b"%b%020d%b%d%b" % (before, stamp_ns, between, response_answers.FIRST_NUMBER + self._sent, after)

    def _end(self) -> bytes:
        return response_answers.end_events(self._model, response_answers.FIRST_NUMBER + self._sent)


def main() -> None:
    """Listen on a free port of the loopback, print it, and serve."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listener.setblocking(False)
    loop, counter, refusals = Loop(), Counter(), Refusals()

    def accept(_events: int) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Connection(loop, sock, counter, refusals)

    loop.watch(listener.fileno(), accept)
    answers.embeddings("bench", 256, as_base64=False)
    answers.embeddings("bench", 256, as_base64=True)
    gc.freeze()
    gc.disable()
    print(listener.getsockname()[1], flush=True)
    loop.run(lambda: False)


if __name__ == "__main__":
    main()
