"""The bodies of requests and responses below /v1, as OpenAI has them.

fields.py            OpenAIModel, their base, and parameters that are not served
messages.py          the messages of a conversation
response_format.py   `response_format`, and what of it is refused
chat_completions.py  /v1/chat/completions
response_items.py    the `input` of /v1/responses
response_tools.py    its `tools` and `tool_choice`
response_text.py     its `text`
custom_tools.py      tools that take a free text, in both APIs
computer_use.py      the tool for a computer of the client's, if the owner allows it
hosted_tools.py      tools that run at OpenAI, as far as the owner allows them
allowed_tools.py     the tool choice `allowed_tools`
refused_types.py     how an item or tool of another type is refused
responses.py         /v1/responses
embeddings.py        /v1/embeddings
"""
