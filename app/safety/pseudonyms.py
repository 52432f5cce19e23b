"""Compute keyed hashes of users, by which the upstream can distinguish users without knowing them."""

from __future__ import annotations

import functools
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

_MAX_CACHED = 4096
_CACHE_KEY_CHARS = 32
_LOGGED_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Pseudonym:
    """The identifiers of a user at the upstream.

    Attributes:
        safety_identifier: 64 hexadecimal digits, the same for every request of the user.
    """

    safety_identifier: str
    _key: bytes = field(repr=False)
    _cache_keys: dict[str, str] = field(default_factory=dict, repr=False)

    def cache_key(self, prompt_version: str) -> str:
        """Return the key of the upstream's prompt cache for this user's conversations with a version of a prompt.

        The keys are cached without a limit, as a site has few versions.
        """
        key = self._cache_keys.get(prompt_version)
        if key is None:
            key = _hash(self._key, [self.safety_identifier, prompt_version])[:_CACHE_KEY_CHARS]
            self._cache_keys[prompt_version] = key
        return key


class Pseudonyms:
    """Makes the pseudonyms of users. They differ between tenants, and cannot be computed without the secret.

    Args:
        secret: PSEUDONYM_SECRET, or SECRET_KEY, or in development without either the upstream's key. It must be
            the same in all processes and after a restart, and unknown to visitors.
        fallbacks: former secrets. The upstream may still report a user by an identifier from one of them.
        in_log: how the log names users: by the start of their `hash`, by their `id`, or not at all (`none`).
    """

    def __init__(self, secret: str, fallbacks: Sequence[str] = (), *, in_log: str = "hash") -> None:
        # A key for each purpose, so that no other hash with the same secret can equal one of these.
        self._user_keys = [_derive_key(each, b"gatehouse safety identifier") for each in (secret, *fallbacks)]
        self._cache_key = _derive_key(secret, b"gatehouse prompt cache key")
        self.of = functools.lru_cache(maxsize=_MAX_CACHED)(self._compute)
        """Returns the pseudonym of a tenant's user."""

        self._in_log = in_log

    def name_in_log(self, tenant: str, user: str) -> str | None:
        """Return the name of a user in the log; None if the log does not name users."""
        if self._in_log == "hash":
            return self.of(tenant, user).safety_identifier[:_LOGGED_DIGITS]
        return user if self._in_log == "id" else None

    def _compute(self, tenant: str, user: str) -> Pseudonym:
        return Pseudonym(self.identify(tenant, user), self._cache_key)

    def identify(self, tenant: str, user: str) -> str:
        """Return a user's safety identifier, without caching it."""
        return _hash(self._user_keys[0], [tenant, user])

    def is_of(self, identifier: str, tenant: str, user: str) -> bool:
        """Return whether an identifier is a user's safety identifier, with the current or a former secret."""
        return any(identifier == _hash(key, [tenant, user]) for key in self._user_keys)


def _derive_key(secret: str, purpose: bytes) -> bytes:
    return hmac.digest(secret.encode(), purpose, "sha256")


def _hash(key: bytes, values: list[str]) -> str:
    return hmac.digest(key, orjson.dumps(values), "sha256").hex()
