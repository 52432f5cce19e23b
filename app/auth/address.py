"""The network address of a client, which it cannot forge, and the wider network around it."""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import re
from functools import lru_cache

from flask import Request

from app.runtime.log_throttle import LogThrottle

UNKNOWN = "unknown"

WIDE_FACTOR = 4
"""How many times as much a /48 may do as one /64 of it."""

# Providers give whole /48s to customers, each of 65,536 networks in which a client can have any address; they also put
# thousands of customers into one. So a /48 counts too, and may do more than a /64.
_WIDE_BITS = 48
# The name before an element of Forwarded, which some proxies put into X-Forwarded-For, and the parameters after it.
_ELEMENT = re.compile(r"(?:for\s*=\s*)?([^;]*)", re.IGNORECASE)
# A port is a number, or hidden (RFC 7239, 6.3), or was left out.
_PORT = re.compile(r":(\d{0,5}|_[\w.-]*)", re.ASCII)
# What proxies write who know nobody, and logs for a variable without a value.
_WITHOUT_MEANING = {"", "unknown", "-", "null", "(null)", "none", "undefined"}
_AROUND = " \t\"'"
# IPv4 addresses behind a translator (RFC 6052) and in an old notation (RFC 4291, 2.5.5.1). As one /64 they would all be one client.
_OF_IPV4 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))
_LOOPBACK = ipaddress.ip_address("::1")

_MAX_SHAPE = 60

_throttle = LogThrottle()
log = logging.getLogger(__name__)


def client_address(request: Request) -> str:
    """Return the client's network address, which identifies an anonymous user.

    It is the address of the connection, or the one that the outermost of TRUSTED_PROXIES added to X-Forwarded-For. No
    other header is read. An IPv6 address is reduced to its network (/64), in which a client can have any address.

    A text that is no address is still what a trusted proxy wrote about one client: it stands for that client alone,
    without its port, which changes with each connection. Only clients about whom nothing is said at all are one.
    """
    remote_addr = request.environ.get("REMOTE_ADDR") or ""
    address, is_readable = _normalize(remote_addr)
    if not is_readable and _throttle.allows(UNKNOWN):
        log.warning(
            "address.unreadable",
            extra={
                "shape": _describe_shape(remote_addr),
                "hint": "have the outermost of TRUSTED_PROXIES write the client's IP address into X-Forwarded-For",
            },
        )
    return address


def _describe_shape(text: str) -> str:
    """Return a text with an `a` for each letter and a `9` for each digit: its form, and nothing of what it says.

    It may be a visitor's address in a form that is not known here, or whatever a visitor sent.
    """
    return "".join("9" if each.isdigit() else "a" if each.isalpha() else each for each in text[:_MAX_SHAPE])


def exact_address(request: Request) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that client_address() begins with, none of it left out; None if it is none."""
    address = _parse((request.environ.get("REMOTE_ADDR") or "").strip())
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@lru_cache(maxsize=1024)
def find_wide_network(address: str) -> str | None:
    """Return the /48 around an address as client_address() gives it; None for IPv4, and if the address is unknown."""
    if ":" not in address:
        return None
    try:
        network = ipaddress.IPv6Network(address, strict=False)
    except ValueError:
        return None
    return str(network.supernet(new_prefix=_WIDE_BITS)) if network.prefixlen > _WIDE_BITS else str(network)


@lru_cache(maxsize=1024)
def _normalize(remote_addr: str) -> tuple[str, bool]:
    """Return the client that a text stands for, and whether the text is an address."""
    element = _ELEMENT.match(remote_addr.strip(_AROUND))
    text = element[1].strip(_AROUND) if element else ""
    address = _parse(text) or _parse(_strip_port(text))
    if address is not None:
        return _reduce(address), True
    name = _strip_port(text).lower()
    if name in _WITHOUT_MEANING or name.partition(":")[0] == "unix":
        return UNKNOWN, False
    # A digest, as the text may be of any length and characters.
    return f"unreadable-{hashlib.sha256(name.encode()).hexdigest()[:16]}", False


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _strip_port(text: str) -> str:
    head, colon, port = text.rpartition(":")
    return head if _PORT.fullmatch(colon + port) else text


def _reduce(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    if address != _LOOPBACK and any(address in network for network in _OF_IPV4):
        return str(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return str(ipaddress.ip_network((int(address), 64), strict=False))
