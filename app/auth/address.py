"""The network address of a client, which it cannot forge."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from flask import Request

UNKNOWN = "unknown"


def client_address(request: Request) -> str:
    """Return the client's network address, which identifies an anonymous user.

    It is the address of the connection, or the one that the outermost of TRUSTED_PROXIES added to X-Forwarded-For. No
    other header is read. An IPv6 address is reduced to its network (/64), in which a client can have any address.
    """
    return _normalize(request.remote_addr or "")


@lru_cache(maxsize=1024)
def _normalize(remote_addr: str) -> str:
    try:
        address = ipaddress.ip_address(remote_addr)
    except ValueError:
        # A Unix socket without TRUSTED_PROXIES: all its clients count as one.
        return UNKNOWN
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), 64), strict=False))
