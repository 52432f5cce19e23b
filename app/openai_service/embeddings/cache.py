"""EmbeddingCache: caches vectors by model, dimensions and text."""

from __future__ import annotations

from collections.abc import Sequence

from app.config import CacheSettings
from app.openai_service.cache import Cache, CacheStore
from app.openai_service.embeddings.vectors import VectorJson
from app.openai_service.transport.upstream import Upstream


class EmbeddingCache:
    """The cache of vectors, configured by EMBEDDING_CACHE_ENTRIES and EMBEDDING_CACHE_TTL_S."""

    def __init__(self, store: CacheStore | None, settings: CacheSettings, upstream: Upstream) -> None:
        self._cache = Cache(
            store,
            upstream,
            "embedding",
            settings,
        )

    def look_up(self, tenant: str, model: str, texts: Sequence[str], dimensions: int | None) -> EmbeddedTexts:
        """Return the texts of one request, with their cached vectors."""
        if self._cache.is_on:
            keys = [self._cache.key(model, dimensions, text) for text in texts]
        else:
            keys = [b"%d" % number for number in range(len(texts))]
        return EmbeddedTexts(self._cache, tenant, keys, texts)


class EmbeddedTexts:
    """The texts of one request and their vectors.

    Attributes:
        unknown: the texts without a cached vector; without duplicates if the cache is on.
        found: the number of texts with a cached vector.
        model: that made one of the cached vectors.
    """

    def __init__(self, cache: Cache, tenant: str, keys: list[bytes], texts: Sequence[str]) -> None:
        self._cache = cache
        self._tenant = tenant
        self._keys = keys
        self._vectors: dict[bytes, VectorJson] = {}
        self.model = ""
        for key, value in cache.read(tenant, keys).items():
            model, _, vector = bytes(value).partition(b"\n")
            self.model = model.decode()
            self._vectors[key] = vector
        self.found = sum(key in self._vectors for key in keys)
        self._missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._vectors}
        self.unknown = list(self._missing.values())

    def add(self, vectors: Sequence[VectorJson], model: str) -> None:
        """Add the vectors of the unknown texts, in their order, and cache them."""
        new = dict(zip(self._missing, vectors, strict=True))
        self._vectors |= new
        if self._cache.is_on:
            named = model.encode().replace(b"\n", b" ")
            self._cache.write(self._tenant, {key: b"\n".join([named, vector]) for key, vector in new.items()})

    def vectors(self) -> list[VectorJson]:
        """Return the vectors of all texts, in their order."""
        return [self._vectors[key] for key in self._keys]
