"""Sends a large request while checking for an early response: the upstream may refuse it before it has read all of it."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable

SEND_BYTES = 65_536
"""How many bytes are sent between two checks for an early response."""


def send_watched(sock: socket.socket, data: memoryview, until: float, is_answered: Callable[[], bool]) -> bool:
    """Send data on a non-blocking socket. Return False if an early response makes the rest unnecessary.

    Args:
        sock: a connected socket, whose timeout is 0.
        data: the data to send.
        until: the deadline for sending, in seconds of `time.monotonic()`.
        is_answered: reads what has arrived, and returns whether the rest need not be sent.

    Raises:
        TimeoutError: the data was not sent completely in time.
        OSError: the connection broke, or `is_answered` raised it.
    """
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN | select.POLLOUT)
    while data:
        try:
            sent = sock.send(data[:SEND_BYTES])
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            sent = 0
        if sent:  # gevent's TLS returns 0 instead of raising
            data = data[sent:]
            continue
        ready = poll.poll(max(until - time.monotonic(), 0.0) * 1000)
        if not ready:
            raise TimeoutError
        if ready[0][1] & ~select.POLLOUT and is_answered():
            return False
    return True
