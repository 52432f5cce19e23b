"""client_address: where a request comes from, as far as it cannot be made up."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from flask import Request

UNKNOWN = "unknown"


def client_address(request: Request) -> str:
    """Return the visitor's network address, by which they are told apart while nothing else does.

    It is the connection's own, or what the last of TRUSTED_PROXIES has put into X-Forwarded-For; no other
    header counts. Of IPv6 only the network (/64) is taken: a visitor can have any address in theirs.
    """
    return _network_of(request.remote_addr or "")


@lru_cache(maxsize=1024)
def _network_of(remote_addr: str) -> str:
    try:
        address = ipaddress.ip_address(remote_addr)
    except ValueError:
        # A Unix socket without TRUSTED_PROXIES: all who come through it are one.
        return UNKNOWN
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), 64), strict=False))
