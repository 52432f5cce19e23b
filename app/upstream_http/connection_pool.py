"""Connections to the upstream's origin: opening them, directly or through a proxy, and keeping them."""

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

# OpenAI's edge closes idle connections after some minutes; one kept for less is rarely found closed.
_KEEP_IDLE_S = 55.0
_MAX_IDLE = 256


class ConnectionPool:
    """Keep-alive connections to one origin, last in, first out, so that the fewest are kept warm."""

    def __init__(self, url: httpx2.URL, *, connect_timeout_s: float) -> None:
        """Prepare to connect to a URL's origin; nothing is opened yet.

        Raises:
            ValueError: the environment names a proxy of a kind that is not supported.
        """
        self._host = url.host
        self._is_tls = url.scheme == "https"
        self._port = url.port or (443 if self._is_tls else 80)
        self._connect_timeout_s = connect_timeout_s
        self._proxy = _find_proxy(url.scheme, self._host)
        self._tls = _make_tls_context() if self._is_tls else None
        self._idle: deque[Connection] = deque()

    def take_idle(self) -> Connection | None:
        """An open connection that has been used before, if there is one."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread took the last
                return None
            idle_s = time.monotonic() - connection.idle_since
            if idle_s < _KEEP_IDLE_S and connection.is_usable():
                return connection
            connection.close()
        return None

    def put(self, connection: Connection) -> None:
        """Take back a connection whose answer has been read to its end."""
        if not connection.keep_alive:
            connection.close()
            return
        connection.park()
        self._idle.append(connection)
        with suppress(IndexError):  # another thread may have taken what is looked at here
            while len(self._idle) > _MAX_IDLE or time.monotonic() - self._idle[0].idle_since > _KEEP_IDLE_S:
                self._idle.popleft().close()

    def connect(self, timeout_s: float) -> Connection:
        """Open a new connection within about `timeout_s` and the connect timeout, whichever is less.

        Looking the name up, and trying a second address, may take longer.

        Raises:
            httpx2.ConnectTimeout, httpx2.ConnectError: not in time, or not at all.
        """
        until = time.monotonic() + min(timeout_s, self._connect_timeout_s)
        address = (self._host, self._port) if self._proxy is None else self._proxy.address
        try:
            sock = socket.create_connection(address, _remaining_s(until))
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._proxy is not None:
                    self._proxy.open_tunnel(sock, self._host, self._port, until)
                # gevent connects with sockets of its own; the server may have a better class in its place.
                sock = socket.socket(fileno=sock.detach())
                sock.settimeout(_remaining_s(until))
                if self._tls is not None:
                    sock = self._tls.wrap_socket(sock, server_hostname=self._host)
            except BaseException:
                sock.close()
                raise
        except TimeoutError as error:
            raise httpx2.ConnectTimeout("connecting took too long") from error
        except (OSError, UnicodeError) as error:  # a name that cannot be looked up is no OSError
            raise httpx2.ConnectError("connecting failed") from error
        return Connection(sock)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


class _Proxy:
    """An HTTP proxy that tunnels with CONNECT, for upstreams of either scheme."""

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
        # Byte by byte at the end of the head: what follows it belongs to the tunnel.
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
    """Seconds until a moment. Raises TimeoutError when it has passed."""
    left_s = until - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _find_proxy(scheme: str, host: str) -> _Proxy | None:
    """The proxy that HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY name for a host."""
    proxies = getproxies()
    url = proxies.get(scheme) or proxies.get("all")
    if not url or proxy_bypass(host):
        return None
    return _Proxy(url)


def _make_tls_context() -> ssl.SSLContext:
    """The operating system's trusted roots, or SSL_CERT_FILE / SSL_CERT_DIR, as httpx2 takes them."""
    context = httpx2.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
