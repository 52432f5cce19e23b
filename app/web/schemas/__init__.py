"""Request models and response bodies, one file per route.

- Routes: `chat`, `openai_chat`, `vision`, `structured`, `embeddings`, `batches`, `tokens`, `usage`.
- `v1/`: those below /v1, as OpenAI has them.
- Shared: `messages`, `tools`, `images`, `fields`.
||||||| merged common ancestors
- Shared: `messages`, `tools`, `images`, `fields`.
- `frameworks`: bodies as frameworks for pages send them.
- Shared: `messages`, `tools`, `fields`.
- `validation`: parse and validate a body, with one sentence per error.
"""
