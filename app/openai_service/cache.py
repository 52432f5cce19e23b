"""Cache: what upstream calls came to, kept for each tenant apart, so that the same is not paid for twice."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import orjson

from app.config import CacheSettings
from app.openai_service.transport.upstream import Upstream
from app.token_counts import Usage

NO_USAGE = Usage(
    prompt_tokens=0,
    completion_tokens=0,
    raw={"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
)
"""What an answer from a cache has used."""

# Part of every key: to be changed with the form of what is kept.
_FORM = 1
_CHECKSUM_BYTES = 4


class CacheStore(Protocol):
    """Where it is kept. Neither method raises; what is in it may be gone, or damaged, at any time."""

    def read(self, keys: Sequence[str]) -> dict[str, bytes]: ...

    def write(self, values: Mapping[str, bytes], *, ttl_s: float) -> None: ...


class Cache:
    """Values of one kind by key, at most `entries` for each tenant.

    A key has one slot, and overwrites what is there. So it is bounded without an index, and without anything that
    evicts; of keys that share a slot the last one is kept.
    """

    def __init__(self, store: CacheStore | None, upstream: Upstream, kind: str, settings: CacheSettings) -> None:
        """Prepare a cache. Without a store or entries nothing is kept."""
        self._store = store
        self._kind = kind
        self._entries = settings.entries
        self._ttl_s = settings.ttl_s
        self._upstream = upstream.cache_key

    @property
    def is_on(self) -> bool:
        return self._store is not None and self._entries > 0

    def key(self, *parts: Any) -> bytes:
        """The key of what was asked, given as JSON values."""
        return hashlib.sha256(orjson.dumps([_FORM, self._kind, *self._upstream, *parts])).digest()

    def read(self, tenant: str, keys: Sequence[bytes]) -> dict[bytes, memoryview]:
        """The values of those of the keys that have one."""
        if self._store is None or not self.is_on:
            return {}
        slots = {key: self._slot(tenant, key) for key in keys}
        kept = self._store.read(list(dict.fromkeys(slots.values())))
        values = {key: _decode(key, kept.get(slot, b"")) for key, slot in slots.items()}
        return {key: value for key, value in values.items() if value is not None}

    def write(self, tenant: str, values: Mapping[bytes, bytes]) -> None:
        if self._store is None or not self.is_on:
            return
        slots = {self._slot(tenant, key): _encode(key, value) for key, value in values.items()}
        self._store.write(slots, ttl_s=self._ttl_s)

    def _slot(self, tenant: str, key: bytes) -> str:
        whose = hashlib.sha256(tenant.encode()).hexdigest()[:32]
        return f"cache:{self._kind}:{whose}:{int.from_bytes(key[:8], 'big') % self._entries}"


def _encode(key: bytes, value: bytes) -> bytes:
    return key + _checksum(value) + value


def _decode(key: bytes, kept: bytes) -> memoryview | None:
    """The value in a slot, if it is whole and of this key."""
    value = memoryview(kept)[len(key) + _CHECKSUM_BYTES :]
    is_whole = kept[: len(key) + _CHECKSUM_BYTES] == key + _checksum(value)
    return value if is_whole else None


def _checksum(value: bytes | memoryview) -> bytes:
    return zlib.crc32(value).to_bytes(_CHECKSUM_BYTES, "big")
