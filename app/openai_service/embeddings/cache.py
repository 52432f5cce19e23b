"""EmbeddingCache: caches vectors by model, dimensions and text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.config import CacheSettings
from app.openai_service.cache import Cache, CacheStore
from app.openai_service.embeddings.vectors import VectorJson
from app.openai_service.transport.upstream import Upstream
from app.runtime.turns import in_turns
from app.upstream_http.spool import Spool, release

# The vectors of a request take up to 80 MB. A group of this many takes at most 1 MB.
_GROUP_SIZE = 16


EmbeddingInput = str | list[int]
"""A text, or the ids of its tokens."""


class EmbeddingCache:
    """The cache of vectors, configured by EMBEDDING_CACHE_ENTRIES and EMBEDDING_CACHE_TTL_S."""

    def __init__(self, store: CacheStore | None, settings: CacheSettings, upstream: Upstream) -> None:
        self._cache = Cache(
            store,
            upstream,
            "embedding",
            settings,
        )

    def look_up(
        self, tenant: str, model: str, texts: Sequence[EmbeddingInput], dimensions: int | None
    ) -> EmbeddedTexts:
        """Return the texts of one request, with their cached vectors."""
        if self._cache.is_on:
            keys = [self._cache.key(model, dimensions, text) for text in texts]
        else:
            keys = [b"%d" % number for number in range(len(texts))]
        return EmbeddedTexts(self._cache, tenant, keys, texts)


class EmbeddedTexts:
    """The texts of one request and their vectors.

    Attributes:
        uncached: the texts without a cached vector; without duplicates if the cache is on.
        cached_count: the number of texts with a cached vector.
        model: that computed one of the cached vectors.
    """

    def __init__(self, cache: Cache, tenant: str, keys: list[bytes], texts: Sequence[EmbeddingInput]) -> None:
        self._cache = cache
        self._tenant = tenant
        self._keys = keys
        self._vectors: dict[bytes, VectorJson] = {}
        self.model = ""
        self._read_cached()
        self.cached_count = sum(key in self._vectors for key in keys)
        self._missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._vectors}
        self.uncached = list(self._missing.values())

    def _read_cached(self) -> None:
        """Read the cached vectors in groups. If there is more than one group, they are written to a temporary file."""
        if not self._cache.is_on:
            return
        if len(self._keys) <= _GROUP_SIZE:
            self._vectors.update(self._read_group(self._keys))
            return
        slices: dict[bytes, slice] = {}
        spool = Spool()
        for start in in_turns(range(0, len(self._keys), _GROUP_SIZE)):
            for key, vector in self._read_group(self._keys[start : start + _GROUP_SIZE]):
                begin = spool.size
                spool.add(vector)
                slices[key] = slice(begin, spool.size)
        if not slices:
            spool.close()
            return
        view = memoryview(spool.map())
        self._vectors.update((key, view[position]) for key, position in slices.items())

    def _read_group(self, keys: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
        for key, value in self._cache.read(self._tenant, keys).items():
            model, _, vector = bytes(value).partition(b"\n")
            self.model = model.decode()
            yield key, vector

    def add(self, vectors: Sequence[VectorJson], model: str) -> None:
        """Add the vectors of the uncached texts, in the order of these, and cache them."""
        new = dict(zip(self._missing, vectors, strict=True))
        self._vectors |= new
        if self._cache.is_on:
            model_name = model.encode().replace(b"\n", b" ")
            added = list(new.items())
            for start in in_turns(range(0, len(added), _GROUP_SIZE)):
                group = added[start : start + _GROUP_SIZE]
                self._cache.write(self._tenant, {key: b"\n".join([model_name, vector]) for key, vector in group})
                release(group[-1][1])

    def vectors(self) -> list[VectorJson]:
        """Return the vectors of all texts, in the order of the texts."""
        return [self._vectors[key] for key in self._keys]
