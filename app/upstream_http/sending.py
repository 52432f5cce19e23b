"""Sending a large request while watching for an answer: the upstream may refuse it before it has read all."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable

SEND_BYTES = 65_536
"""How much is sent before it is looked whether the upstream answers already."""


def send_watched(sock: socket.socket, data: memoryview, until: float, is_answered: Callable[[], bool]) -> bool:
    """Send data on a socket that does not block; return False if the upstream answered and needs no more of it.

    Args:
        sock: a connected socket, whose timeout is 0.
        data: to send.
        until: when it must have been sent, in seconds of `time.monotonic()`.
        is_answered: reads what has arrived, and says whether that makes the rest unnecessary.

    Raises:
        TimeoutError: not all was sent in time.
        OSError: the connection broke, or what `is_answered` raises.
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
