"""Distinguish this server's own pages from others by the server's configured host names.

A request's Host alone is not enough. A page of another site can let its host name resolve to this machine (DNS
rebinding), and its requests then have an Origin equal to their Host.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from flask import Request

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]*)(?::(\d{1,5}))?")

# The name of a service in a cluster's network, or of a machine. Not a number, which browsers interpret as an
# address.
_PLAIN_NAME = re.compile(r"[a-z][a-z0-9_-]*")
# ICANN reserves .internal for private use, RFC 6762 reserves .local; .svc is from Kubernetes, and no top-level
# domain.
_PRIVATE_DOMAINS = (".internal", ".local", ".svc")


class OwnHosts:
    """Compares the Host of requests with the names in the settings.

    Args:
        names: TRUSTED_HOSTS, in lower case. A name with a port is valid for that port only.
        with_loopback: whether localhost and the loopback addresses are included, with any port. Another site
            cannot use them for DNS rebinding.
    """

    def __init__(self, names: frozenset[str], *, with_loopback: bool) -> None:
        self._names = names
        self._with_loopback = with_loopback
        self._contains = lru_cache(maxsize=256)(self._check)

    def include(self, request: Request) -> bool:
        """Return whether the Host of a request is one of these names."""
        return self._contains(request.host.lower(), request.scheme)

    def is_own_origin(self, request: Request, origin: str) -> bool:
        """Return whether an Origin is this server's own."""
        return origin == f"{request.scheme}://{request.host.lower()}" and self.include(request)

    def is_foreign(self, request: Request) -> bool:
        """Return whether a script of another origin sent a request.

        To read the response it must send its Origin (CORS).
        """
        origin = request.headers.get("Origin")
        return origin is not None and not self.is_own_origin(request, origin)

    def is_same_origin(self, request: Request) -> bool:
        """Return whether the headers show that a page of this origin sent a request.

        Browsers omit Sec-Fetch-Site on plain http.
        """
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
        if site is None and origin is None:
            return False
        return site in (None, "same-origin") and (origin is None or self.is_own_origin(request, origin))

    def can_be_rebound(self, request: Request) -> bool:
        """Return whether the Host may be a name of another site that resolves to this machine (DNS rebinding).

        IP addresses cannot be rebound, nor can names that only the local network resolves: names of services
        (without a dot), and names in domains that are never in the public DNS.
        """
        host = read_host(request).lower()
        return not self._contains(host, request.scheme) and not _is_local_name(host)

    def has_name(self, host: str, scheme: str) -> bool:
        """Return whether a host, with its port if it has one, is one of these names."""
        return self._contains(host.lower(), scheme)

    def _check(self, host: str, scheme: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name, port = found[1], found[2] or {"http": "80", "https": "443"}.get(scheme)
        return (
            name in self._names or f"{name}:{port}" in self._names or (self._with_loopback and _is_loopback(name))
        )


def read_host(request: Request) -> str:
    """Return the Host as sent. werkzeug omits a name with an underscore, which names of services may have."""
    return request.environ.get("HTTP_HOST") or request.host


@lru_cache(maxsize=256)
def _is_local_name(host: str) -> bool:
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = found[1]
    if _PLAIN_NAME.fullmatch(name) or name.endswith(_PRIVATE_DOMAINS):
        return True
    try:
        return bool(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        return False


def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):  # browsers never resolve it by DNS
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
