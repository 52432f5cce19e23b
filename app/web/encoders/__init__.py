"""The wire formats of answers, one file each.

base.py             Encoder: the protocol of the streamed formats, and what several of them share
padding.py          Padding: makes the lengths of events tell little of their tokens
token_sse.py        TokenSse: /api/chat/stream and /api/vision/stream
openai_sse.py       OpenAISse: /v1/chat/completions
response_object.py  the `response` of /v1/responses, complete or as it begins and ends
responses_sse.py    ResponsesSse: /v1/responses
openai_error.py     the error object of everything below /v1
plain_text.py       PlainText: /api/chat/openai and /api/completion
structured_sse.py   StructuredSse: /api/structured/stream
structured_text.py  StructuredText: the same as bare JSON text
ui_message_stream.py  UIMessageStream: /api/chat, for the AI SDK
agui.py             Agui: /api/agui
call_ids.py         CallIds: what the last two call tool calls
batch_results.py    the results of a batch
"""
