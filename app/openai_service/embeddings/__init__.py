"""Embeddings: vectors from the upstream or from the cache.

- `vectors.py`: cuts vectors out of OpenAI's answer as JSON text; cosine similarity.
- `cache.py`: caches the vector of each text.
"""
