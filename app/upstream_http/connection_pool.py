"""A pool of connections to one origin, opened directly or through a proxy."""

from __future__ import annotations

import base64
import socket
import ssl
import time
from collections import deque
from contextlib import suppress
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2

from app.upstream_http.connection import Connection, ConnectionEnded

_MAX_IDLE = 256


class ConnectionPool:
    """Idle connections to one origin, last in, first out, so that as few as possible stay open."""

    def __init__(self, url: httpx2.URL, *, connect_timeout_s: float) -> None:
        """Prepare to connect to a URL's origin. Nothing is opened yet.

        Raises:
            ValueError: the environment names a proxy whose scheme is not http.
        """
        self._host = url.host
        self._is_tls = url.scheme == "https"
        self._port = url.port or (443 if self._is_tls else 80)
        self._connect_timeout_s = connect_timeout_s
        self._proxy = _find_proxy(url.scheme, self._host)
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
        """Take back a connection whose response has been read to its end."""
        if not connection.keep_alive:
            connection.close()
            return
        connection.park()
        self._idle.append(connection)
        with suppress(IndexError):  # another thread may have taken it meanwhile
            while len(self._idle) > _MAX_IDLE or time.monotonic() > self._idle[0].expires_at:
                self._idle.popleft().close()

    def connect(self, timeout_s: float) -> Connection:
        """Open a new connection within about `timeout_s` and the connect timeout, whichever is less.

        The DNS lookup, and trying a second address, may take longer.

        Raises:
            httpx2.ConnectTimeout, httpx2.ConnectError: it could not be opened in time, or at all.
        """
        until = time.monotonic() + min(timeout_s, self._connect_timeout_s)
        address = (self._host, self._port) if self._proxy is None else self._proxy.address
        try:
            sock = socket.create_connection(address, _remaining_s(until))
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._proxy is not None:
                    self._proxy.open_tunnel(sock, self._host, self._port, until)
                # gevent connects with its own socket class; the server may have replaced `socket.socket` with a faster one.
                sock = socket.socket(fileno=sock.detach())
                sock.settimeout(_remaining_s(until))
                if self._tls is not None:
                    sock = self._tls.wrap_socket(sock, server_hostname=self._host)
            except BaseException:
                sock.close()
                raise
        except TimeoutError as error:
            raise httpx2.ConnectTimeout("connecting took too long") from error
        except (OSError, UnicodeError) as error:  # an invalid host name raises UnicodeError
            raise httpx2.ConnectError("connecting failed") from error
        return Connection(sock)

    def close(self) -> None:
        """Close all idle connections."""
        while self._idle:
            self._idle.pop().close()


class _Proxy:
    """An HTTP proxy that opens tunnels with CONNECT, for http and https upstreams."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError("The proxy of HTTP_PROXY, HTTPS_PROXY or ALL_PROXY must be an http:// URL")
        self.address = (parts.hostname, parts.port or 80)
        self._authorization = b""
        if parts.username:
            credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            self._authorization = b"Proxy-Authorization: Basic " + base64.b64encode(credentials) + b"\r\n"

    def open_tunnel(self, sock: socket.socket, host: str, port: int, until: float) -> None:
        target = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode()
        request = b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (target, target, self._authorization)
        sock.sendall(request)
        answer = b""
        # Byte by byte, as what follows the head belongs to the tunnel.
        while not answer.endswith(b"\r\n\r\n"):
            if len(answer) > 16_384:
                raise ConnectionEnded
            sock.settimeout(_remaining_s(until))
            byte = sock.recv(1)
            if not byte:
                raise ConnectionEnded
            answer += byte
        if answer.split(b" ", 2)[1:2] != [b"200"]:
            raise ConnectionRefusedError("the proxy refused the tunnel")


def _remaining_s(until: float) -> float:
    """Return the seconds until a moment, or raise TimeoutError if it has passed."""
    left_s = until - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _find_proxy(scheme: str, host: str) -> _Proxy | None:
    """Return the proxy for a host by HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, if any."""
    proxies = getproxies()
    url = proxies.get(scheme) or proxies.get("all")
    if not url or proxy_bypass(host):
        return None
    return _Proxy(url)


def _make_tls_context() -> ssl.SSLContext:
    """Make a TLS context that trusts the operating system's roots, or SSL_CERT_FILE / SSL_CERT_DIR, as httpx2 does."""
    context = httpx2.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
