"""Request models and response bodies, one file per route.

- Routes: `chat`, `openai_chat`, `vision`, `structured`, `embeddings`, `batches`, `tokens`, `usage`.
- `v1/`: those below /v1, as OpenAI has them.
- `frameworks/`: bodies as frameworks for pages send them. `admin/`: those of administration.
- Shared: `messages`, `tools`, `fields`.
- `validation`: parse and validate a body, with one sentence per error. `json_values`: look into it before it is parsed.
- `kept_reasoning`: what a model reasoned, sealed into an answer and opened in the next turn.
"""
