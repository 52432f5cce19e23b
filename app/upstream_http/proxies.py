"""Finds the proxy for a host by HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, and opens tunnels through it."""

from __future__ import annotations

import base64
import ipaddress
import re
import socket
import time
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

from app.upstream_http.addresses import Addresses
from app.upstream_http.connection import ConnectionEnded

T = TypeVar("T")


class Proxy:
    """An HTTP proxy that opens tunnels with CONNECT, for http and https upstreams."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError("The proxy of HTTP_PROXY, HTTPS_PROXY or ALL_PROXY must be an http:// URL")
        self.addresses = Addresses(parts.hostname, parts.port or 80)
        self._authorization = b""
        if parts.username:
            credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            self._authorization = b"Proxy-Authorization: Basic " + base64.b64encode(credentials) + b"\r\n"

    def open_tunnel(self, sock: socket.socket, host: str, port: int, until: float) -> None:
        """Request a tunnel to a host from the proxy. Raises OSError if it refuses, TimeoutError if it takes too long."""
        target = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode()
        request = b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (target, target, self._authorization)
        sock.settimeout(remaining_s(until))
        sock.sendall(request)
        answer = b""
        # Read byte by byte, as the data after the head belongs to the tunnel.
        while not answer.endswith(b"\r\n\r\n"):
            if len(answer) > 16_384:
                raise ConnectionEnded
            sock.settimeout(remaining_s(until))
            byte = sock.recv(1)
            if not byte:
                raise ConnectionEnded
            answer += byte
        if answer.split(b" ", 2)[1:2] != [b"200"]:
            raise ConnectionRefusedError("the proxy refused the tunnel")


def remaining_s(until: float) -> float:
    """Return the seconds until a deadline, or raise TimeoutError if it has passed."""
    left_s = until - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def find_proxy(scheme: str, host: str) -> Proxy | None:
    """Return the proxy for a host, if the environment sets one. Raises ValueError if its scheme is not http."""
    proxies = getproxies()
    url = proxies.get(scheme) or proxies.get("all")
    if not url or is_exempt(host, proxies.get("no", "")):
        return None
    return Proxy(url)


def is_exempt(host: str, no_proxy: str) -> bool:
    """Return whether NO_PROXY exempts a host, by the rules of curl.

    `*` alone exempts all hosts. A name exempts itself and its subdomains, with or without a dot at either end. An
    address or a network, such as 10.0.0.0/8, exempts hosts that are given as addresses. Ports are not supported.

    Source: https://github.com/curl/curl/blob/master/lib/noproxy.c
    """
    if no_proxy.strip() == "*":
        return True
    host = host.strip("[]").lower().removesuffix(".")
    address = _parse(ipaddress.ip_address, host)
    for entry in re.split(r"[,\s]+", no_proxy.lower()):
        if address is None:
            name = entry.removesuffix(".").removeprefix(".")
            if name and (host == name or host.endswith(f".{name}")):
                return True
        elif (network := _parse(ipaddress.ip_network, entry, strict=False)) is not None and address in network:
            return True
    return False


def _parse(parse: Callable[..., T], text: str, **options: bool) -> T | None:
    try:
        return parse(text, **options)
    except ValueError:
        return None
