"""Embeddings: vectors from the upstream or from the cache.

- `vectors.py`: extracts vectors from OpenAI's answer as JSON text; computes cosine similarities.
- `cache.py`: caches the vector of each text.
"""
