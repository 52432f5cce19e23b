"""The OpenAI-compatible views below /v1, one blueprint a file.

chat_completions.py  /v1/chat/completions
responses.py         /v1/responses
embeddings.py        /v1/embeddings
models.py            /v1/models
"""
