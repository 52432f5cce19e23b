"""Remember prompts as OpenAI's prompt cache does, and count what a request reads from it and writes into it.

A prefix ends with a message, is the same to the byte, and counts from 1,024 tokens on. Models with breakpoints write
what ends at one of them, explicit or at the latest message, and charge for it. Older ones write every prefix for
nothing, and count in steps of 128 tokens. The prompt may be of any length: only hashes are kept.
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
_MAX_KEPT = 10_000


@dataclass(frozen=True)
class CacheUse:
    """The tokens of a prompt that were read from the cache, and those written into it."""

    read: int = 0
    written: int = 0


@dataclass(frozen=True)
class Segment:
    """A piece of a prompt, after which a prefix may end: all before the messages, or one message."""

    content: bytes
    tokens: int
    is_breakpoint: bool


class PromptCache:
    """The prefixes of the last half hour, of one process."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._expiries: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def use(self, key: str, segments: Sequence[Segment], *, has_breakpoints: bool, is_explicit: bool) -> CacheUse:
        """Look a prompt up, and remember it.

        Args:
            key: separates prompts, as `prompt_cache_key` does.
            segments: of the prompt, in order.
            has_breakpoints: whether only what ends at a breakpoint is written, and charged for.
            is_explicit: whether the latest message is no breakpoint by itself.
        """
        prefixes = _list_prefixes(key, segments)
        with self._lock:
            read = max((size for name, size in prefixes[-_MAX_READ:] if self._has(name)), default=0)
            if not has_breakpoints:
                self._keep(prefixes)
                return CacheUse(read=read - read % _STEP)
            ends = [prefix for prefix, segment in zip(prefixes, segments, strict=True) if segment.is_breakpoint]
            ends = ends[-_MAX_EXPLICIT - is_explicit :] + ([] if is_explicit else prefixes[-1:])
            self._keep(ends)
            longest = max((size for _, size in ends if size >= _MIN_TOKENS), default=0)
            return CacheUse(read=read, written=max(0, longest - read))

    def _has(self, name: bytes) -> bool:
        return self._expiries.get(name, 0) > self._now()

    def _keep(self, prefixes: Sequence[tuple[bytes, int]]) -> None:
        for name, size in prefixes:
            if size >= _MIN_TOKENS:
                self._expiries[name] = self._now() + _LIFE_S
                self._expiries.move_to_end(name)
        while len(self._expiries) > _MAX_KEPT:
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
