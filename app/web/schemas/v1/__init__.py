"""The bodies of requests and responses below /v1, as OpenAI has them.

fields.py            OpenAIModel, their base, and parameters that are not served
messages.py          the messages of a conversation
chat_completions.py  /v1/chat/completions
embeddings.py        /v1/embeddings
"""
