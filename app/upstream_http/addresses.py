"""The addresses of one host: looking them up within a deadline, and connecting to the first of them that answers."""

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

# How long an address may be silent before the next one is tried as well.
# Source: https://www.rfc-editor.org/rfc/rfc8305#section-8
_NEXT_ADDRESS_S = 0.25
# How long a look-up may take while the addresses of an earlier one are known.
_PATIENCE_S = 1.0

Address = tuple[socket.AddressFamily, Any]


class Addresses:
    """The addresses of one host and port, and which of them works."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._is_number = _is_number(host)
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
            OSError, UnicodeError: there is no address, or all refuse.
        """
        found = self._find(until)
        ordered = sorted(found, key=lambda address: (address == self._avoided, address != self._preferred))
        sock, address = _connect_first(ordered, until)
        self._preferred = address
        return sock

    def avoid_last(self) -> None:
        """Try the address that connected last after all others: what answers there is of no use."""
        self._avoided, self._preferred = self._preferred, None

    def _find(self, until: float) -> Sequence[Address]:
        """Look the host up; if that fails, or takes long, return what was found before."""
        if self._is_number:  # it never changes, and under gevent a look-up takes a thread all the same
            self._known = self._known or _look_up(self._host, self._port)
            return self._known
        look_up = self._join_look_up()
        left_s = max(until - time.monotonic(), 0.0)
        has_ended = look_up.ended.wait(min(left_s, _PATIENCE_S) if self._known else left_s)
        if has_ended and look_up.error is None:
            self._known = look_up.found
        if self._known:
            return self._known
        if not has_ended:
            raise TimeoutError("the name was not found in time")
        assert look_up.error is not None, "a look-up without an error has found something"
        raise look_up.error

    def _join_look_up(self) -> _LookUp:
        """Return the look-up in progress, so that there is one thread however many wait for it; or begin one."""
        with self._lock:
            if self._look_up is None or self._look_up.ended.is_set():
                self._look_up = _LookUp(self._host, self._port)
            return self._look_up


class _LookUp:
    """A look-up in a thread, as it cannot be interrupted. Under gevent the thread is a greenlet, which waits for one."""

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
        except Exception as error:  # raised where the look-up is waited for
            self.error = error
        finally:
            self.ended.set()


def _look_up(host: str, port: int) -> Sequence[Address]:
    """Return the addresses of a host, IPv6 and IPv4 by turns, beginning with what the system prefers."""
    found = [
        (family, address) for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    ]
    first = [address for address in found if address[0] == found[0][0]]
    other = [address for address in found if address[0] != found[0][0]]
    return [address for address in chain.from_iterable(zip_longest(first, other)) if address is not None]


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _connect_first(addresses: Sequence[Address], until: float) -> tuple[socket.socket, Address]:
    """Connect to the addresses in order, to a further one while those before are silent; return the first connection."""
    waiting: dict[int, tuple[socket.socket, Address]] = {}
    left = deque(addresses)
    failure: OSError = ConnectionRefusedError("the host has no address")
    poll = select.poll()
    next_at = 0.0
    try:
        while left or waiting:
            now = time.monotonic()
            if now >= until:
                raise TimeoutError("no address answered in time")
            if left and (not waiting or now >= next_at):
                address = left.popleft()
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
            wait_s = min(until, next_at) - now if left else until - now
            for descriptor, _ in poll.poll(math.ceil(wait_s * 1000)):
                poll.unregister(descriptor)
                sock, address = waiting.pop(descriptor)
                number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if number == 0:
                    return sock, address
                sock.close()
                failure = OSError(number, os.strerror(number))
                next_at = 0.0
        raise failure
    finally:
        for sock, _ in waiting.values():
            sock.close()


def _begin_to_connect(address: Address) -> tuple[socket.socket, bool]:
    """Return a socket that connects, and whether it has done so already."""
    family, place = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        number = sock.connect_ex(place)
        # On this machine that lasts until it is asked again; waiting costs far more.
        if number == errno.EINPROGRESS:
            number = sock.connect_ex(place)
        if number not in (0, errno.EINPROGRESS, errno.EALREADY, errno.EISCONN):
            raise OSError(number, os.strerror(number))
    except BaseException:
        sock.close()
        raise
    return sock, number in (0, errno.EISCONN)
