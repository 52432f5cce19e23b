"""Resolves the addresses of one host within a deadline, and connects to the first of them that answers."""

from __future__ import annotations

import errno
import ipaddress
import math
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any

# How long to wait for an address before connecting to the next one in parallel.
# Source: https://www.rfc-editor.org/rfc/rfc8305#section-8
_NEXT_ADDRESS_S = 0.25
# How long to wait for a look-up if the addresses of an earlier one are known.
_MAX_REFRESH_S = 1.0

Address = tuple[socket.AddressFamily, Any]


class Addresses:
    """The addresses of one host and port, and which of them worked last."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._is_ip_address = _is_ip_address(host)
        self._lock = threading.Lock()
        self._look_up: _LookUp | None = None
        self._known: Sequence[Address] = ()
        self._preferred: Address | None = None
        self._avoided: Address | None = None

    def connect(self, until: float) -> socket.socket:
        """Return a socket connected to the first address that answers. The one that worked last is tried first.

        Args:
            until: when to give up, in seconds of `time.monotonic()`.

        Raises:
            TimeoutError: no address was found, or none answered, in time.
            OSError, UnicodeError: the host has no address, or all addresses refuse the connection.
        """
        found = self._find(until)
        ordered = sorted(found, key=lambda address: (address == self._avoided, address != self._preferred))
        sock, address = _connect_first(ordered, until)
        self._preferred = address
        return sock

    def avoid_last(self) -> None:
        """Try the last connected address after all others from now on: its server is not usable."""
        self._avoided, self._preferred = self._preferred, None

    def _find(self, until: float) -> Sequence[Address]:
        """Resolve the host. If that fails or takes long, return the addresses found before."""
        if self._is_ip_address:  # it never changes, and under gevent a look-up would take a thread
            self._known = self._known or _look_up(self._host, self._port)
            return self._known
        look_up = self._join_look_up()
        left_s = max(until - time.monotonic(), 0.0)
        has_ended = look_up.ended.wait(min(left_s, _MAX_REFRESH_S) if self._known else left_s)
        if has_ended and look_up.error is None:
            self._known = look_up.found
        if self._known:
            return self._known
        if not has_ended:
            raise TimeoutError("the name was not resolved in time")
        assert look_up.error is not None, "a look-up without an error has found something"
        raise look_up.error

    def _join_look_up(self) -> _LookUp:
        """Return the look-up in progress, or begin one. All waiting calls share one thread."""
        with self._lock:
            if self._look_up is None or self._look_up.ended.is_set():
                self._look_up = _LookUp(self._host, self._port)
            return self._look_up


class _LookUp:
    """A look-up in a thread, as it cannot be interrupted. Under gevent it is a greenlet, which waits for gevent's thread."""

    def __init__(self, host: str, port: int) -> None:
        self._name = host, port
        self.ended = threading.Event()
        self.found: Sequence[Address] = ()
        self.error: Exception | None = None
        try:
            threading.Thread(target=self._run, daemon=True).start()
        except RuntimeError:  # the process cannot start another thread
            self._run()

    def _run(self) -> None:
        try:
            self.found = _look_up(*self._name)
        except Exception as error:  # raised in _find()
            self.error = error
        finally:
            self.ended.set()


def _look_up(host: str, port: int) -> Sequence[Address]:
    """Resolve a host. Return its IPv6 and IPv4 addresses alternately, beginning with the system's preferred family."""
    found = [
        (family, address) for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    ]
    first = [address for address in found if address[0] == found[0][0]]
    other = [address for address in found if address[0] != found[0][0]]
    return [address for address in chain.from_iterable(zip_longest(first, other)) if address is not None]


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _connect_first(addresses: Sequence[Address], until: float) -> tuple[socket.socket, Address]:
    """Connect to the addresses in order, in parallel while earlier ones do not answer. Return the first connection."""
    waiting: dict[int, tuple[socket.socket, Address]] = {}
    remaining = deque(addresses)
    failure: OSError = ConnectionRefusedError("the host has no address")
    poll = select.poll()
    next_at = 0.0
    try:
        while remaining or waiting:
            now = time.monotonic()
            if now >= until:
                raise TimeoutError("no address answered in time")
            if remaining and (not waiting or now >= next_at):
                address = remaining.popleft()
                next_at = now + _NEXT_ADDRESS_S
                try:
                    sock, is_connected = _begin_to_connect(address)
                except OSError as error:
                    failure = error
                    continue
                if is_connected:
                    return sock, address
                waiting[sock.fileno()] = sock, address
                poll.register(sock.fileno(), select.POLLOUT)
            wait_s = min(until, next_at) - now if remaining else until - now
            for descriptor, _ in poll.poll(math.ceil(wait_s * 1000)):
                poll.unregister(descriptor)
                sock, address = waiting.pop(descriptor)
                error_number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error_number == 0:
                    return sock, address
                sock.close()
                failure = OSError(error_number, os.strerror(error_number))
                next_at = 0.0
        raise failure
    finally:
        for sock, _ in waiting.values():
            sock.close()


def _begin_to_connect(address: Address) -> tuple[socket.socket, bool]:
    """Begin to connect a socket. Return it, and whether it is connected already."""
    family, socket_address = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        error_number = sock.connect_ex(socket_address)
        # On the same machine, the connection is complete by the second call, which costs far less than a wait.
        if error_number == errno.EINPROGRESS:
            error_number = sock.connect_ex(socket_address)
        if error_number not in (0, errno.EINPROGRESS, errno.EALREADY, errno.EISCONN):
            raise OSError(error_number, os.strerror(error_number))
    except BaseException:
        sock.close()
        raise
    return sock, error_number in (0, errno.EISCONN)
