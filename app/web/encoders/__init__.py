"""The wire formats of answers, one file each.

base.py             Encoder: the protocol of the streamed formats; base classes that several of them share
padding.py          Padding: hides the lengths of tokens
token_sse.py        TokenSse: /api/chat/stream and /api/vision/stream
openai_sse.py       OpenAISse: /v1/chat/completions
response_object.py  the `response` object of /v1/responses, complete or streamed
responses_sse.py    ResponsesSse: /v1/responses
openai_error.py     OpenAI's error object, for all routes below /v1
plain_text.py       PlainText: /api/chat/openai and /api/completion
structured_sse.py   StructuredSse: /api/structured/stream
structured_text.py  StructuredText: the same route, as plain JSON text
ui_message_stream.py  UIMessageStream: /api/chat, for the AI SDK
agui.py             Agui: /api/agui
call_ids.py         CallIds: unique ids of tool calls, for UIMessageStream and Agui
batch_results.py    the results of a batch
"""
