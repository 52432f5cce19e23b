"""A cache of upstream results, separate for each tenant, so that the same result is billed only once."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import orjson

from app.config import CacheSettings
from app.models.token_counts import Usage
from app.openai_service.transport.upstream import Upstream

NO_USAGE = Usage(
    prompt_tokens=0,
    completion_tokens=0,
    raw={"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
)
"""The usage of a cached answer."""

# Part of each key. Increment it when the format of the values changes.
_FORMAT = 1
_CHECKSUM_BYTES = 4


class CacheStore(Protocol):
    """The store of a cache. Its methods never raise; its values may be lost or damaged at any time."""

    def read(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the stored values by key, without the keys that have none."""

    def write(self, values: Mapping[str, bytes], *, ttl_s: float) -> None:
        """Store values for `ttl_s` seconds."""


class Cache:
    """A cache of one kind of values, with at most `entries` for each tenant.

    A key's hash selects one slot. Keys that share a slot overwrite each other, so the size is bounded without an index
    or eviction.
    """

    def __init__(self, store: CacheStore | None, upstream: Upstream, kind: str, settings: CacheSettings) -> None:
        """Create a cache, which caches nothing if there is no store or `settings.entries` is 0."""
        self._store = store
        self._kind = kind
        self._entries = settings.entries
        self._ttl_s = settings.ttl_s
        self._upstream = upstream.cache_key

    @property
    def is_on(self) -> bool:
        """Whether anything is cached."""
        return self._store is not None and self._entries > 0

    def key(self, *parts: Any) -> bytes:
        """Return the cache key of a request, from its parts as JSON values."""
        return hashlib.sha256(orjson.dumps([_FORMAT, self._kind, *self._upstream, *parts])).digest()

    def read(self, tenant: str, keys: Sequence[bytes]) -> dict[bytes, memoryview]:
        """Return the cached values by key."""
        if self._store is None or not self.is_on:
            return {}
        slots = {key: self._slot(tenant, key) for key in keys}
        stored = self._store.read(list(dict.fromkeys(slots.values())))
        values = {key: _decode(key, stored.get(slot, b"")) for key, slot in slots.items()}
        return {key: value for key, value in values.items() if value is not None}

    def write(self, tenant: str, values: Mapping[bytes, bytes]) -> None:
        """Cache values by key."""
        if self._store is None or not self.is_on:
            return
        slots = {self._slot(tenant, key): _encode(key, value) for key, value in values.items()}
        self._store.write(slots, ttl_s=self._ttl_s)

    def _slot(self, tenant: str, key: bytes) -> str:
        owner = hashlib.sha256(tenant.encode()).hexdigest()[:32]
        return f"cache:{self._kind}:{owner}:{int.from_bytes(key[:8], 'big') % self._entries}"


def _encode(key: bytes, value: bytes) -> bytes:
    return key + _checksum(value) + value


def _decode(key: bytes, stored: bytes) -> memoryview | None:
    """Return the value in a slot, if it belongs to the key and is not damaged."""
    value = memoryview(stored)[len(key) + _CHECKSUM_BYTES :]
    is_valid = stored[: len(key) + _CHECKSUM_BYTES] == key + _checksum(value)
    return value if is_valid else None


def _checksum(value: bytes | memoryview) -> bytes:
    return zlib.crc32(value).to_bytes(_CHECKSUM_BYTES, "big")
