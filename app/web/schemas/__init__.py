"""Request models and response bodies, one file per route.

- Routes: `chat`, `openai_chat`, `vision`, `structured`, `embeddings`, `batches`, `tokens`, `usage`.
- `frameworks`: bodies as frameworks for pages send them.
- Shared: `messages`, `tools`, `fields`.
- `validation`: parse and validate a body, with one sentence per error.
"""
