"""Embeddings: vectors from the upstream, or from the cache."""
