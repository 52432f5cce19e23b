"""Keyed hashes of users, for an upstream that must tell them apart but not know them."""

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
    """A user as the upstream knows them.

    Attributes:
        safety_identifier: 64 hexadecimal digits, the same for every request of the user.
    """

    safety_identifier: str
    _key: bytes = field(repr=False)
    _cache_keys: dict[str, str] = field(default_factory=dict, repr=False)

    def cache_key(self, prompt_version: str) -> str:
        """Return the part of the upstream's prompt cache that this user's conversations with a prompt share.

        Versions are the site's own, so there are few.
        """
        known = self._cache_keys.get(prompt_version)
        if known is None:
            known = _hash(self._key, [self.safety_identifier, prompt_version])[:_CACHE_KEY_CHARS]
            self._cache_keys[prompt_version] = known
        return known


class Pseudonyms:
    """Makes the pseudonyms of users. They differ between tenants, and cannot be computed without the secret.

    Args:
        secret: PSEUDONYM_SECRET, else SECRET_KEY, or in development without one the upstream's key: something that all
            processes know, that stays the same when they restart, and that no visitor knows.
        fallbacks: former ones: the upstream may still report a user by an identifier of one of these.
        in_log: how the log names users: by the beginning of the `hash`, by their `id`, or by `none`.
    """

    def __init__(self, secret: str, fallbacks: Sequence[str] = (), *, in_log: str = "hash") -> None:
        # A key for each purpose: nothing else that is signed with the same secret can be mistaken for one of these.
        self._user_keys = [_derive_key(each, b"gatehouse safety identifier") for each in (secret, *fallbacks)]
        self._cache_key = _derive_key(secret, b"gatehouse prompt cache key")
        self.of = functools.lru_cache(maxsize=_MAX_CACHED)(self._compute)
        """Returns the pseudonym of a tenant's user."""

        self._in_log = in_log

    def name_in_log(self, tenant: str, user: str) -> str | None:
        """Return how the log names a user; None if it does not."""
        if self._in_log == "hash":
            return self.of(tenant, user).safety_identifier[:_LOGGED_DIGITS]
        return user if self._in_log == "id" else None

    def _compute(self, tenant: str, user: str) -> Pseudonym:
        return Pseudonym(self.identify(tenant, user), self._cache_key)

    def identify(self, tenant: str, user: str) -> str:
        """Return a user's safety identifier alone, without remembering it."""
        return _hash(self._user_keys[0], [tenant, user])

    def is_of(self, identifier: str, tenant: str, user: str) -> bool:
        """Return whether it is a user's safety identifier, or was by a former secret."""
        return any(identifier == _hash(key, [tenant, user]) for key in self._user_keys)


def _derive_key(secret: str, purpose: bytes) -> bytes:
    return hmac.digest(secret.encode(), purpose, "sha256")


def _hash(key: bytes, values: list[str]) -> str:
    return hmac.digest(key, orjson.dumps(values), "sha256").hex()
