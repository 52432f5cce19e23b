"""CostlyUpstream: an OpenAI over real HTTP that writes down what it bills, whatever becomes of its answer."""

from __future__ import annotations

import json
import re
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any

from app.models.token_counts.estimates import bound_input
from tests.fakes.upstreams.openai_answers import completion, sse, stream_of
from tests.fakes.upstreams.upstream_handler import UpstreamHandler

INPUT, OUTPUT = 1, 5
"""What a token costs, in micro-dollars."""
PRICES = f'[models."gpt-6.1-terra"]\ninput = {INPUT}\noutput = {OUTPUT}\n'
TOKENS = [" one", " two", " three", " four", " five", " six", " seven", " eight"]
EVENTS = len(stream_of(*TOKENS))
_BACKLOG = 128
_TOKEN = re.compile(r"\w+|[^\w\s]")
_MAX_S = 30.0


@dataclass
class Plan:
    """The plan for one streamed answer.

    Attributes:
        events: how many are written before that; None leaves out the head of the answer as well.
        then: "end" or "reset" cuts the connection off, "wait" waits until the reader does, or for `go`.
    """

    events: int | None
    then: str
    go: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Event = field(default_factory=threading.Event)
    prompt_tokens: int = 0
    written_tokens: int = 0

    @property
    def bill(self) -> int:
        """In micro-dollars."""
        return INPUT * self.prompt_tokens + OUTPUT * self.written_tokens


class CostlyUpstream:
    """Bills requests without a plan at the maximum, and those with a plan for what it has read and written."""

    def __init__(self) -> None:
        self.bills: list[int] = []
        """The bill of requests without a plan, in micro-dollars."""
        self.may_answer = threading.Event()
        """Answers that are not streamed, and the ends of streams, wait for it."""
        self.takes_s = 0.0
        """The time in seconds that each answer waits besides."""
        self.plans: dict[str, Plan] = {}
        """The plans by the end of the last message, after a #."""
        self.may_answer.set()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.upstream = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def bill(self, body: dict[str, Any]) -> dict[str, int]:
        model = body.pop("model")
        prompt, written = bound_input(body, model), body["max_completion_tokens"]
        self.bills.append(INPUT * prompt + OUTPUT * written)
        return _usage(prompt, written)

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """While nobody can connect to it, and nobody is refused either; connections that wait for work are closed."""
        server = self._server
        server.may_accept.clear()
        server.socket.listen(0)
        for connection in list(server.idle):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        waiting = []
        try:
            while not waiting or select.select([], waiting[-1:], [], 0.02)[1]:
                waiting.append(socket.socket())
                waiting[-1].setblocking(False)
                waiting[-1].connect_ex(server.server_address)
            yield
        finally:
            server.socket.listen(_BACKLOG)
            for connection in waiting:
                connection.close()
            server.may_accept.set()

    def __enter__(self) -> CostlyUpstream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.may_answer.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _usage(prompt: int, written: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


class _Server(ThreadingHTTPServer):
    upstream: CostlyUpstream
    daemon_threads = True
    block_on_close = False
    request_queue_size = _BACKLOG

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.may_accept = threading.Event()
        self.may_accept.set()
        self.idle: set[socket.socket] = set()

    def get_request(self) -> Any:
        self.may_accept.wait(_MAX_S)
        return super().get_request()

    def handle_error(self, *_: Any) -> None:
        """Stay silent: workers are killed here."""


class _Handler(UpstreamHandler):
    server: _Server

    def handle_one_request(self) -> None:
        self.server.idle.add(self.connection)
        try:
            super().handle_one_request()
        finally:
            self.server.idle.discard(self.connection)

    def parse_request(self) -> bool:
        self.server.idle.discard(self.connection)
        return super().parse_request()

    def answer(self, body: dict[str, Any]) -> None:
        content = body["messages"][-1]["content"]
        plan = self.server.upstream.plans.get(content.rpartition("#")[2])
        if plan is not None:
            plan.prompt_tokens = len(_TOKEN.findall(content)) + 7
            plan.arrived.set()
            try:
                self._follow(plan)
            except OSError:
                self.close_connection = True
            return
        usage = self.server.upstream.bill(body)
        if body.get("stream"):
            payloads = stream_of("begun", "more", usage=usage)
            self.begin("text/event-stream", "Transfer-Encoding", "chunked")
            self.write_chunk(sse(*payloads[:2]))
            self._wait()
            self.write_chunk(sse(*payloads[2:]))
            self.write_chunk(b"")
            return
        self._wait()
        answer = json.dumps(completion(usage=usage)).encode()
        self.begin("application/json", "Content-Length", str(len(answer)))
        self.wfile.write(answer)

    def _follow(self, plan: Plan) -> None:
        payloads = stream_of(*TOKENS, usage=_usage(plan.prompt_tokens, len(TOKENS)))
        if plan.events is not None:
            self.begin("text/event-stream", "Transfer-Encoding", "chunked")
            self._write_events(plan, payloads[: plan.events])
        if plan.then == "wait" and self._is_let_go(plan):
            self._write_events(plan, payloads[plan.events or 0 :])
            self.write_chunk(b"")
            return
        self.close_connection = True
        if plan.then == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # shutdown(), which the server does before it closes, would say goodbye.
            self.connection.close()

    def _write_events(self, plan: Plan, payloads: list[Any]) -> None:
        for payload in payloads:
            self.write_chunk(sse(payload))
            choices = payload["choices"] if isinstance(payload, dict) else []
            plan.written_tokens += bool(choices and choices[0]["delta"].get("content"))

    def _is_let_go(self, plan: Plan) -> bool:
        """Wait; False once the reader is gone."""
        poll = select.poll()
        poll.register(self.connection, select.POLLIN | select.POLLRDHUP)
        while not plan.go.wait(0.02):
            if poll.poll(0):
                return False
        return True

    def _wait(self) -> None:
        self.server.upstream.may_answer.wait(_MAX_S)
        time.sleep(self.server.upstream.takes_s)
