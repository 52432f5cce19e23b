"""The host names under which this server is reached, which tell its own pages from all others.

A request's Host does not: a page elsewhere can make its own host name resolve to this machine (DNS rebinding), and its
requests then have an Origin equal to their Host.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from flask import Request

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]*)(?::(\d{1,5}))?")

# The name of a service in the network of a cluster, or of a machine. No number: browsers take that for an address.
_PLAIN_NAME = re.compile(r"[a-z][a-z0-9_-]*")
# .internal is reserved for private use by ICANN, .local by RFC 6762; .svc is Kubernetes's, and no domain of the root.
_PRIVATE_DOMAINS = (".internal", ".local", ".svc")


class OwnHosts:
    """Compares the Host of requests with the names that the site's owner has given.

    Args:
        names: TRUSTED_HOSTS: names in lower case, each with a port if it holds for that port only.
        with_loopback: whether localhost and the addresses of this machine itself count as well, with any port. No
            name of another machine can be rebound to them.
    """

    def __init__(self, names: frozenset[str], *, with_loopback: bool) -> None:
        self._names = names
        self._with_loopback = with_loopback
        self._contains = lru_cache(maxsize=256)(self._check)

    def include(self, request: Request) -> bool:
        """Return whether a request came under one of these names."""
        return self._contains(request.host.lower(), request.scheme)

    def is_own_origin(self, request: Request, origin: str) -> bool:
        """Return whether an Origin is that of this server's own pages."""
        return origin == f"{request.scheme}://{request.host.lower()}" and self.include(request)

    def is_foreign(self, request: Request) -> bool:
        """Return whether a script of another origin sent a request: to read an answer, it must say which (CORS)."""
        origin = request.headers.get("Origin")
        return origin is not None and not self.is_own_origin(request, origin)

    def sent(self, request: Request) -> bool:
        """Return whether the headers say that a page of this origin sent a request.

        Sec-Fetch-Site may be missing, as it is on plain http.
        """
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
        if site is None and origin is None:
            return False
        return site in (None, "same-origin") and (origin is None or self.is_own_origin(request, origin))

    def can_be_rebound(self, request: Request) -> bool:
        """Return whether the Host is a name that somebody else may have pointed at this machine.

        An address is none, nor is a name that only the resolver of the own network knows: that of a service (no dot),
        and those of the domains that are never in the public DNS.
        """
        host = read_host(request).lower()
        return not self._contains(host, request.scheme) and not _is_of_own_network(host)

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
    """Return the Host as it was sent. werkzeug has none for a name with an underscore, as services may have."""
    return request.environ.get("HTTP_HOST") or request.host


@lru_cache(maxsize=256)
def _is_of_own_network(host: str) -> bool:
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
    if name == "localhost" or name.endswith(".localhost"):  # which browsers never ask DNS for
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
