"""The OpenAI-compatible bodies of requests and responses below /v1.

fields.py            OpenAIModel, the base class, and the check of unsupported parameters
messages.py          the messages of a conversation
response_format.py   `response_format` and its schema
chat_completions.py  /v1/chat/completions
response_items.py    the `input` of /v1/responses
response_tools.py    the `tools` and `tool_choice` of /v1/responses
response_text.py     the `text` of /v1/responses
custom_tools.py      custom tools, whose input is a text, in both APIs
computer_use.py      the tool for a computer of the client, if the settings allow it
hosted_tools.py      tools that run at OpenAI, if the settings allow them
allowed_tools.py     the tool choice `allowed_tools`
refused_types.py     error sentences for items and tools of other types
responses.py         /v1/responses
embeddings.py        /v1/embeddings
"""
