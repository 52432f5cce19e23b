"""The views, one blueprint a file.

chat.py         /api/chat
vision.py       /api/vision
embeddings.py   /api/embeddings
structured.py   /api/structured
batches.py      /api/batches
tokens.py       /api/tokens
usage.py        /api/usage
health.py       /healthz and /readyz
v1/             /v1, as OpenAI has it
playground.py   / in development
"""
