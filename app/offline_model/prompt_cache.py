"""Imitate OpenAI's prompt cache, and count the tokens that a request reads from it and writes to it.

A cached prefix ends with a message, is identical in each byte, and has at least 1,024 tokens. Models with breakpoints
write prefixes that end at one, explicit or at the latest message, and charge for that. Older models write every prefix
free of charge, and count in steps of 128 tokens. Prompts may have any length: only hashes are stored.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_MIN_TOKENS = 1_024
_STEP = 128
_LIFE_S = 1_800
_MAX_EXPLICIT = 3
_MAX_READ = 80
_MAX_STORED = 10_000


@dataclass(frozen=True)
class CacheUse:
    """The tokens of a prompt that were read from the cache, and those written to it."""

    read: int = 0
    written: int = 0


@dataclass(frozen=True)
class Segment:
    """A piece of a prompt after which a prefix may end: everything before the messages, or one message."""

    content: bytes
    tokens: int
    is_breakpoint: bool


class PromptCache:
    """The prefixes that one process has seen in the last half hour."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._expiries: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def use(self, key: str, segments: Sequence[Segment], *, has_breakpoints: bool, is_explicit: bool) -> CacheUse:
        """Look up a prompt, and store its prefixes.

        Args:
            key: separates prompts, as `prompt_cache_key` does.
            segments: of the prompt, in order.
            has_breakpoints: whether only prefixes that end at a breakpoint are written, and charged for.
            is_explicit: whether only explicit breakpoints count, not the latest message.
        """
        prefixes = _list_prefixes(key, segments)
        with self._lock:
            read = max((size for name, size in prefixes[-_MAX_READ:] if self._has(name)), default=0)
            if not has_breakpoints:
                self._store(prefixes)
                return CacheUse(read=read - read % _STEP)
            ends = [prefix for prefix, segment in zip(prefixes, segments, strict=True) if segment.is_breakpoint]
            ends = ends[-_MAX_EXPLICIT - is_explicit :] + ([] if is_explicit else prefixes[-1:])
            self._store(ends)
            longest = max((size for _, size in ends if size >= _MIN_TOKENS), default=0)
            return CacheUse(read=read, written=max(0, longest - read))

    def _has(self, name: bytes) -> bool:
        return self._expiries.get(name, 0) > self._now()

    def _store(self, prefixes: Sequence[tuple[bytes, int]]) -> None:
        for name, size in prefixes:
            if size >= _MIN_TOKENS:
                self._expiries[name] = self._now() + _LIFE_S
                self._expiries.move_to_end(name)
        while len(self._expiries) > _MAX_STORED:
            self._expiries.popitem(last=False)


def _list_prefixes(key: str, segments: Sequence[Segment]) -> list[tuple[bytes, int]]:
    """Return the hash of each prefix and its tokens."""
    name, size = hashlib.sha256(key.encode()).digest(), 0
    prefixes = []
    for segment in segments:
        name = hashlib.sha256(name + segment.content).digest()
        size += segment.tokens
        prefixes.append((name, size))
    return prefixes
