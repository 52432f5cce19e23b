"""The upstream: accept connections and requests, answer each request with a mode, and record what was sent."""

import asyncio
import json
import random
import re
import socket
import struct
import time
from typing import Any

from app.models.families import find_refusal
from chaos.call import Call, Gone
from chaos.fault_schedule import FaultSchedule
from chaos.modes import Mode, choose
from chaos.trace import Attempt, Trace

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TAG = re.compile(rb"req:([A-Za-z0-9._-]+)")
_RESET = struct.pack("ii", 1, 0)


class Upstream:
    """Listens on the loopback, and tracks open connections."""

    def __init__(self, trace: Trace, seed: int, faults: FaultSchedule) -> None:
        self.trace = trace
        self.seed = seed
        self.faults = faults
        self.port = 0
        self.connections: set[Connection] = set()
        self._accepted = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a free port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Close everything."""
        assert self._server is not None
        self._server.close()
        for connection in list(self.connections):
            connection.reset()

    def open_exchanges(self) -> int:
        """The number of answers in progress."""
        return sum(connection.is_playing for connection in self.connections)

    def refuses(self) -> bool:
        """Whether the next connection is to be refused."""
        self._accepted += 1
        return random.Random(f"{self.seed}:accept:{self._accepted}").random() < self.faults.refusals()


class Connection(asyncio.Protocol):
    """One connection of the application's."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._trace = upstream.trace
        self._received = b""
        self._requests = 0
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._gone = asyncio.Event()
        self._gone_at = 0.0
        self._playing: asyncio.Task[None] | None = None

    @property
    def is_playing(self) -> bool:
        """Whether an answer is in progress."""
        return self._playing is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refuse or initialize a new connection."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._upstream.connections.add(self)
        if self._upstream.refuses():
            self._trace.refused_at.append(time.monotonic())
            self.reset()

    def data_received(self, data: bytes) -> None:
        """Collect a request, and answer it once it is complete."""
        self._received += data
        head, end, rest = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        size = int(length[1]) if length else 0
        if not end or len(rest) < size:
            return
        if self._playing is not None or len(rest) > size:
            self._trace.uninvited.append("a second request on a connection before the answer to the first")
            self.reset()
            return
        self._received = b""
        self._playing = asyncio.get_running_loop().create_task(self._answer(head, rest))

    def eof_received(self) -> bool:
        """Handle that the application has closed the connection."""
        self._note_gone()
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Handle the end of the connection, by either side."""
        self._note_gone()
        self._upstream.connections.discard(self)

    def pause_writing(self) -> None:
        """Pause writing: the application reads more slowly."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """Resume writing: the application reads again."""
        self._may_write.set()

    def _note_gone(self) -> None:
        if not self._gone.is_set():
            self._gone_at = time.monotonic()
            self._gone.set()
            self._may_write.set()

    # What a mode does with the wire.

    async def send(self, data: bytes) -> None:
        """Write as fast as the application reads. Raises Gone if it has closed the connection."""
        if self._transport.is_closing():
            await asyncio.sleep(0)  # until connection_lost() has been told
        if self._gone.is_set():
            raise Gone
        self._transport.write(data)
        await self._may_write.wait()
        if self._gone.is_set():
            raise Gone

    async def wait(self, seconds: float) -> None:
        """Do nothing for some time. Raises Gone as soon as the application closes the connection."""
        try:
            await asyncio.wait_for(self._gone.wait(), seconds)
        except TimeoutError:
            return
        raise Gone

    def close(self) -> None:
        """Close the connection properly, after all data is written."""
        self._trace.closed_at.append(time.monotonic())
        self._transport.close()

    def reset(self) -> None:
        """Reset the connection."""
        self._trace.closed_at.append(time.monotonic())
        sock: socket.socket = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    async def _answer(self, head: bytes, body: bytes) -> None:
        self._requests += 1
        tag = _TAG.search(body)
        try:
            params: dict[str, Any] = json.loads(body)
        except ValueError:
            params = {}
        if tag is None or not params:
            self._trace.uninvited.append(f"{head.splitlines()[0]!r} with an unknown body")
            self.reset()
            return
        path = head.split(b" ", 2)[1].decode("ascii", "replace")
        if (refusal := find_refusal(path, params)) is not None:
            self._trace.uninvited.append(f"{path} with what OpenAI refuses: {refusal.message}")
            self.reset()
            return
        attempt, mode, call = self._prepare(tag[1].decode(), head, params)
        was_waiting = False
        try:
            await mode.play(call)
        except Gone:
            attempt.cut_at = self._gone_at
            was_waiting = call.is_silent
        finally:
            attempt.ended_at = time.monotonic()
            attempt.was_silent = was_waiting
            self._playing = None

    def _prepare(self, request_id: str, head: bytes, params: dict[str, Any]) -> tuple[Attempt, Mode, Call]:
        number = len(self._trace.by_id[request_id]) + 1
        rng = random.Random(f"{self._upstream.seed}:{request_id}:{number}")
        model = str(params.get("model"))
        operation = _operation(head, params)
        mode = choose(rng, operation, params, self._upstream.faults.failures(model))
        attempt = Attempt(
            id=request_id,
            number=number,
            operation=operation,
            model=model,
            mode=mode.name,
            began_at=time.monotonic(),
            is_kept=self._requests > 1,
            codes=mode.codes,
        )
        self._trace.add(attempt)
        return attempt, mode, Call(self, attempt, params, rng)


def _operation(head: bytes, params: dict[str, Any]) -> str:
    if b"/embeddings " in head[: head.find(b"\r\n")]:
        return "embeddings"
    if params.get("stream"):
        return "stream"
    return "structured" if "response_format" in params else "chat"
