"""Find the network address of a client, which it cannot forge, and the wider network around it."""

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
"""The limit of a /48 network, as a multiple of the limit of a /64."""

# Some providers assign a /48 to one customer, who can then use any address in 65,536 /64 networks. Others put
# thousands of customers into one /48. So a /48 has a limit too, which is higher than that of a /64.
_WIDE_BITS = 48
# An element of Forwarded, which some proxies put into X-Forwarded-For: its value between its name and its
# parameters.
_ELEMENT = re.compile(r"(?:for\s*=\s*)?([^;]*)", re.IGNORECASE)
# A port is a number, an obfuscated name (RFC 7239, 6.3), or empty.
_PORT = re.compile(r":(\d{0,5}|_[\w.-]*)", re.ASCII)
# What proxies write if they do not know the client, and for variables without a value.
_PLACEHOLDERS = {"", "unknown", "-", "null", "(null)", "none", "undefined"}
_SPACES_AND_QUOTES = " \t\"'"
# Networks of IPv4 addresses behind a translator (RFC 6052) and in an old notation (RFC 4291, 2.5.5.1). Reduced to
# a /64, all of them would be one client.
_IPV4_NETWORKS = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))
_LOOPBACK = ipaddress.ip_address("::1")

_MAX_SHAPE = 60

_throttle = LogThrottle()
log = logging.getLogger(__name__)


def client_address(request: Request) -> str:
    """Return the client's network address, which identifies an anonymous user.

    It is the address of the connection, or the one that the outermost of TRUSTED_PROXIES added to X-Forwarded-For.
    No other header is read. An IPv6 address is reduced to its /64 network, in which a client can use any address.

    If a trusted proxy wrote a text that is no IP address, the text without its port identifies the client. All
    clients without any text are one user.
    """
    remote_addr = request.environ.get("REMOTE_ADDR") or ""
    address, is_readable = _normalize(remote_addr)
    if not is_readable and _throttle.allows(UNKNOWN):
        log.warning(
            "address.unreadable",
            extra={
                "shape": _describe_shape(remote_addr),
                "hint": "let the outermost of TRUSTED_PROXIES send the client's IP address in X-Forwarded-For",
            },
        )
    return address


def _describe_shape(text: str) -> str:
    """Return a text with each letter replaced by `a` and each digit by `9`, for the log.

    The text may be a visitor's address in an unknown form, or anything that a visitor sent.
    """
    return "".join("9" if each.isdigit() else "a" if each.isalpha() else each for each in text[:_MAX_SHAPE])


def exact_address(request: Request) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the client's complete IP address, not reduced to its network; None if it is no IP address."""
    address = _parse((request.environ.get("REMOTE_ADDR") or "").strip())
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@lru_cache(maxsize=1024)
def find_wide_network(address: str) -> str | None:
    """Return the /48 network around an address from client_address(); None for IPv4 or an unknown address."""
    if ":" not in address:
        return None
    try:
        network = ipaddress.IPv6Network(address, strict=False)
    except ValueError:
        return None
    return str(network.supernet(new_prefix=_WIDE_BITS)) if network.prefixlen > _WIDE_BITS else str(network)


@lru_cache(maxsize=1024)
def _normalize(remote_addr: str) -> tuple[str, bool]:
    """Return the id of the client for a text, and whether the text is an IP address."""
    element = _ELEMENT.match(remote_addr.strip(_SPACES_AND_QUOTES))
    text = element[1].strip(_SPACES_AND_QUOTES) if element else ""
    address = _parse(text) or _parse(_strip_port(text))
    if address is not None:
        return _reduce(address), True
    name = _strip_port(text).lower()
    if name in _PLACEHOLDERS or name.partition(":")[0] == "unix":
        return UNKNOWN, False
    # A digest, as the text may have any length and characters.
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
    if address != _LOOPBACK and any(address in network for network in _IPV4_NETWORKS):
        return str(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return str(ipaddress.ip_network((int(address), 64), strict=False))
