"""Relay: copies a streamed response to its client while the greenlet of the request sleeps."""

from __future__ import annotations

from collections.abc import Callable
from ssl import SSLEOFError, SSLWantReadError
from typing import Any

from gevent import getcurrent
from gevent.exceptions import ConcurrentObjectUseError
from gevent.ssl import SSLSocket

from server.connections.stream_socket import StreamSocket

# The first line of an HTTP chunk, by its size.
_CHUNK_SIZES = [b"%X\r\n" % size for size in range(1024)]
# All plain connections are read into this buffer, and what was read is copied at once. recv() would allocate the maximum
# size each time and then shrink it, which takes five times as long for a token.
_BUFFER = memoryview(bytearray(16_384))


class Relay:
    """Connects the upstream's connection of a streamed response with that of the client.

    If a greenlet reads, writes and sleeps again, that costs two switches with the stacks of all its generators, and it
    starts and stops a watcher and a timer. Here, the loop itself calls the functions that read and write.

    Attributes:
        unsent: bytes that the client's connection did not accept at once. They must be flushed before anything else.
        written: the number of body bytes passed to write().
        written_at: the time of the last write, in seconds of `time.monotonic()`; the caller of write() sets it.
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
        """Sleep while the loop reads available data and passes it to `take`, until that returns False.

        `take` must not block. This method raises its errors, and those of reading.

        Args:
            sock: a non-blocking socket.
            take: is called with the data, or with b"" at the end of the connection.
            size: the maximum number of bytes of one read.
            timeout_s: the maximum time to sleep.

        Raises:
            TimeoutError: the time is over, there is data to flush, or wake() was called.
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
        """End the sleep after the current call of `take`, as if its time were over."""
        self._has_to_wake = True

    def write(self, data: bytes) -> None:
        """Send a part of the body, as far as the client's connection accepts it now."""
        size = len(data)
        self.written += size
        if self._is_chunked:
            data = (_CHUNK_SIZES[size] if size < 1024 else b"%X\r\n" % size) + data + b"\r\n"
        if self.unsent:
            self.unsent += data
            return
        try:
            sent = self._send(data)
        except OSError:  # the buffer is full; or the connection is broken, which flush() will raise
            sent = 0
        if sent < len(data):
            self.unsent = data[sent:]

    def flush(self) -> None:
        """Send the unsent bytes, and wait until they are sent. Raises the errors of the client's connection."""
        unsent, self.unsent = self.unsent, b""
        self._client.sendall(unsent)


def _find_receive(sock: Any) -> Callable[[int], bytes]:
    """Return a function that reads a non-blocking socket directly, without gevent's code for waiting."""
    if not isinstance(sock, SSLSocket):
        receive_into = sock._sock.recv_into if type(sock) is StreamSocket else sock.recv_into

        def receive(size: int) -> bytes:
            return _BUFFER[: receive_into(_BUFFER, min(size, len(_BUFFER)))].tobytes()

        return receive
    read = sock._sslobj.read

    def receive_decrypted(size: int) -> bytes:
        try:
            data: bytes = read(size)
        except SSLEOFError:  # many servers close without close_notify
            return b""
        return data

    return receive_decrypted
