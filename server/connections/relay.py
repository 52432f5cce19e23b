"""Relay: passes on what arrives for a streamed response while the greenlet of its request sleeps."""

from __future__ import annotations

from collections.abc import Callable
from ssl import SSLEOFError, SSLWantReadError
from typing import Any

from gevent import getcurrent
from gevent.exceptions import ConcurrentObjectUseError
from gevent.ssl import SSLSocket

from server.connections.stream_socket import StreamSocket

# The first lines of the chunks that a body is sent in, by size.
_CHUNK_SIZES = [b"%X\r\n" % size for size in range(1024)]


class Relay:
    """Joins the connection that a streamed response is read from with the client's.

    A greenlet that reads, writes and sleeps again costs two switches, with the stacks of all its generators, and a
    watcher and a timer that are started and stopped. Here the loop itself calls what reads and writes.

    Attributes:
        unsent: what the client's connection did not take at once. Nothing more is passed on before it is flushed.
        written: how many bytes of the body it was given.
        written_at: when that was last, as whoever gives them to it says: in seconds of `time.monotonic()`.
    """

    def __init__(self, client: StreamSocket, *, is_chunked: bool) -> None:
        self._client = client
        self._send = client._sock.send
        self._is_chunked = is_chunked
        self.unsent = b""
        self._has_to_wake = False
        self.written = 0
        self.written_at = 0.0

    # private API: hub, _read_event and _sslobj of gevent's sockets; guarded by tests/server/connections/test_relay.py

    def wait(self, sock: Any, take: Callable[[bytes], bool], size: int, timeout_s: float) -> None:
        """Sleep, and have the loop read whenever there is something, and give it to `take`, until that returns False.

        It must not wait for anything. What it raises is raised here, as is what reading raises.

        Args:
            sock: set not to wait.
            take: is given what was read, b"" at the end of the connection.
            size: how many bytes are read at most.
            timeout_s: how long.

        Raises:
            TimeoutError: the time is over, or there is something to flush, or wake() was called.
        """
        self._has_to_wake = False
        if self.unsent:
            raise TimeoutError("something has to be sent first")
        hub, watcher = sock.hub, sock._read_event
        if watcher.callback is not None:
            raise ConcurrentObjectUseError("another greenlet waits on this socket")
        resume = getcurrent().switch
        failure: BaseException | None = None

        receive = _find_receive(sock)

        def read() -> None:
            nonlocal failure
            try:
                if take(receive(size)) and not self.unsent and not self._has_to_wake:
                    return
            except (BlockingIOError, SSLWantReadError):
                return
            except BaseException as error:
                failure = error
            resume(True)

        timer = hub.loop.timer(timeout_s)
        watcher.start(read)
        try:
            timer.start(resume, False)
            has_ended = hub.switch()
        finally:
            watcher.stop()
            timer.close()
        if failure is not None:
            raise failure
        if self.unsent or self._has_to_wake or not has_ended:
            raise TimeoutError("timed out")

    def wake(self) -> None:
        """Have the sleep end after what is being taken, as if its time were over."""
        self._has_to_wake = True

    def write(self, data: bytes) -> None:
        """Send a part of the body, as far as the client's connection takes it now."""
        size = len(data)
        self.written += size
        if self._is_chunked:
            data = (_CHUNK_SIZES[size] if size < 1024 else b"%X\r\n" % size) + data + b"\r\n"
        if self.unsent:
            self.unsent += data
            return
        try:
            sent = self._send(data)
        except OSError:  # it is full; or broken, which flush() tells
            sent = 0
        if sent < len(data):
            self.unsent = data[sent:]

    def flush(self) -> None:
        """Send what is unsent, and wait for that. Raises the errors of the client's connection."""
        unsent, self.unsent = self.unsent, b""
        self._client.sendall(unsent)


def _find_receive(sock: Any) -> Callable[[int], bytes]:
    """Return what reads a socket that does not wait, without what gevent does to wait."""
    if not isinstance(sock, SSLSocket):
        receive: Callable[[int], bytes] = sock._sock.recv if type(sock) is StreamSocket else sock.recv
        return receive
    read = sock._sslobj.read

    def receive_decrypted(size: int) -> bytes:
        try:
            data: bytes = read(size)
        except SSLEOFError:  # many servers end without a farewell
            return b""
        return data

    return receive_decrypted
