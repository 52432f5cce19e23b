"""Fetch and cache the public keys of the site's identity provider.

While the provider is down, PyJWT's client sends a request for each token, one after another, and discards keys
that are still usable. This client sends at most one request in ten seconds, and continues to use the cached keys.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import httpx2
import jwt

from app.auth.errors import AuthUnavailable, Unauthenticated
from app.runtime import clock

log = logging.getLogger(__name__)

_FRESH_S = 300
_USABLE_S = 3600
_MIN_PAUSE_S = 10
_TIMEOUT_S = 5.0
_MAX_BYTES = 256 * 1024
_MAX_KEYS = 100


class Jwks:
    """The provider's keys, cached in each process.

    Requests that arrive during a fetch wait for it, or use the cached keys.

    Args:
        url: the URL of the provider's JWKS document.
        algorithm: the accepted signature algorithm; keys for other algorithms are ignored.
        fetch: returns the document at a URL, or raises.
    """

    def __init__(self, url: str, *, algorithm: str, fetch: Callable[[str], bytes] | None = None) -> None:
        self._url = url
        self._algorithm = algorithm
        self._fetch = fetch or fetch_key_set
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._lock = threading.Lock()

    def get_key(self, kid: str | None) -> jwt.PyJWK:
        """Return the key with this id; without an id, the only key of the provider.

        Raises:
            Unauthenticated: there is no such key.
            AuthUnavailable: there are no keys, and they cannot be fetched now.
        """
        if self._age_s() > _FRESH_S:
            self._refresh()
        found = self._find_key(kid)
        if found is None and self._fetched_at is not None:
            # The key may be newer than the cached document.
            self._refresh()
            found = self._find_key(kid)
        if self._age_s() > _USABLE_S:
            raise AuthUnavailable
        if found is None:
            raise Unauthenticated("unknown signing key", is_guess=True)
        return found

    def _find_key(self, kid: str | None) -> jwt.PyJWK | None:
        keys = self._keys
        if kid is None:
            return next(iter(keys.values())) if len(keys) == 1 else None
        return keys.get(kid)

    def _age_s(self) -> float:
        return float("inf") if self._fetched_at is None else clock.ticks() - self._fetched_at

    def _refresh(self) -> None:
        has_keys = self._age_s() <= _USABLE_S
        if not self._lock.acquire(blocking=not has_keys):
            return
        try:
            if self._tried_at is not None and clock.ticks() - self._tried_at < _MIN_PAUSE_S:
                return
            try:
                self._keys = _parse_keys(self._fetch(self._url), self._algorithm)
                self._fetched_at = clock.ticks()
            except Exception as error:
                # Any failure here is caused by the provider: its address, its certificate, its document.
                log.warning("auth.jwks_failed", extra={"error": type(error).__name__})
            self._tried_at = clock.ticks()
        finally:
            self._lock.release()


def fetch_key_set(url: str) -> bytes:
    """Fetch a document of bounded size within a bounded time. A redirect is an error.

    Raises:
        httpx2.HTTPError, ValueError: it could not be fetched.
    """
    deadline = clock.ticks() + _TIMEOUT_S
    data = b""
    with (
        httpx2.Client(timeout=_TIMEOUT_S, follow_redirects=False) as client,
        client.stream("GET", url, headers={"Accept": "application/json"}) as response,
    ):
        if response.status_code != 200:
            raise ValueError("not 200")
        for chunk in response.iter_bytes():
            data += chunk
            if len(data) > _MAX_BYTES or clock.ticks() > deadline:
                raise ValueError("too large, or too slow")
    return data


def _parse_keys(document: bytes, algorithm: str) -> dict[str | None, jwt.PyJWK]:
    """Return a document's keys for signatures with this algorithm, by id."""
    keys: dict[str | None, jwt.PyJWK] = {}
    for entry in json.loads(document)["keys"][:_MAX_KEYS]:
        if _is_signing_key(entry, algorithm):
            try:
                keys[entry.get("kid")] = jwt.PyJWK(entry, algorithm)
            except jwt.PyJWTError:
                continue
    if not keys:
        raise ValueError("no usable key")
    return keys


def _is_signing_key(entry: Any, algorithm: str) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("kid"), str | None)
        and entry.get("use", "sig") == "sig"
        and entry.get("alg", algorithm) == algorithm
    )
