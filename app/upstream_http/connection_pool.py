"""ConnectionPool: a pool of connections to one origin, opened directly or through a proxy."""

from __future__ import annotations

import socket
import ssl
import time
from collections import deque

import httpx2

from app.upstream_http.addresses import Addresses
from app.upstream_http.connection import Connection
from app.upstream_http.proxies import find_proxy, remaining_s

_MAX_IDLE = 256


class ConnectionPool:
    """Idle connections to one origin, last in, first out, so that as few as possible stay open."""

    def __init__(self, url: httpx2.URL, *, connect_timeout_s: float) -> None:
        """Create a pool for a URL's origin. No connection is opened yet.

        Raises:
            ValueError: the environment names a proxy whose scheme is not http, or certificates that do not exist.
        """
        self._host = url.host
        self._is_tls = url.scheme == "https"
        self._port = url.port or (443 if self._is_tls else 80)
        self._connect_timeout_s = connect_timeout_s
        self._proxy = find_proxy(url.scheme, self._host)
        self._addresses = Addresses(self._host, self._port) if self._proxy is None else self._proxy.addresses
        self._tls = _make_tls_context() if self._is_tls else None
        self._idle: deque[Connection] = deque()

    def take_idle(self) -> Connection | None:
        """Return an idle connection that is still open, if any."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread took the last
                return None
            if time.monotonic() < connection.expires_at and connection.is_usable():
                return connection
            connection.close()
        return None

    def put(self, connection: Connection) -> None:
        """Return a connection to the pool. Its response must have been read to the end."""
        if not connection.keep_alive:
            connection.close()
            return
        connection.park()
        self._idle.append(connection)
        try:
            while len(self._idle) > _MAX_IDLE or time.monotonic() > self._idle[0].expires_at:
                self._idle.popleft().close()
        except IndexError:  # another thread took it meanwhile
            return

    def connect(self, timeout_s: float) -> Connection:
        """Open a new connection within `timeout_s` and the connect timeout, whichever is less.

        Raises:
            httpx2.ConnectTimeout, httpx2.ConnectError: the connection could not be opened in time, or not at all.
        """
        until = time.monotonic() + min(timeout_s, self._connect_timeout_s)
        try:
            sock = self._addresses.connect(until)
            try:
                sock = self._prepare(sock, until)
            except BaseException:
                self._addresses.avoid_last()
                sock.close()
                raise
        except TimeoutError as error:
            raise httpx2.ConnectTimeout("connecting took too long") from error
        except (OSError, UnicodeError) as error:  # an invalid host name raises UnicodeError
            raise httpx2.ConnectError("connecting failed") from error
        return Connection(sock)

    def _prepare(self, sock: socket.socket, until: float) -> socket.socket:
        """Open the proxy's tunnel and start TLS, if needed. Return the socket to use."""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._proxy is not None:
            self._proxy.open_tunnel(sock, self._host, self._port, until)
        sock.settimeout(remaining_s(until))
        return sock if self._tls is None else self._tls.wrap_socket(sock, server_hostname=self._host)

    def close(self) -> None:
        """Close all idle connections."""
        while self._idle:
            self._idle.pop().close()


def _make_tls_context() -> ssl.SSLContext:
    """Make a TLS context that trusts the operating system's roots, or SSL_CERT_FILE / SSL_CERT_DIR, as httpx2 does.

    Raises:
        ValueError: that file does not exist, or has no certificates.
    """
    try:
        context = httpx2.create_ssl_context()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ValueError(f"SSL_CERT_FILE or SSL_CERT_DIR cannot be used: {reason}; correct or unset it") from None
    context.set_alpn_protocols(["http/1.1"])
    return context
