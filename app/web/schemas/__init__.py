"""Request models and response bodies, one file per route.

- Routes: `chat`, `openai_chat`, `vision`, `structured`, `embeddings`, `batches`, `tokens`, `usage`.
- `v1/`: the OpenAI-compatible routes below /v1.
- `frameworks/`: the bodies of front-end frameworks. `admin/`: the administration API.
- Shared: `messages`, `tools`, `fields`.
- `validation`: parses and validates a body, with one sentence per error. `json_values`: checks a JSON text before
  it is parsed.
- `sealed_reasoning`: a model's reasoning, which an answer contains sealed and the next request returns.
"""
