"""The wire formats of answers, one file each.

base.py             Encoder: the protocol of the streamed formats
token_sse.py        TokenSse: /api/chat/stream and /api/vision/stream
plain_text.py       PlainText: /api/chat/openai and /api/completion
structured_sse.py   StructuredSse: /api/structured/stream
structured_text.py  StructuredText: the same as bare JSON text
ui_message_stream.py  UIMessageStream: /api/chat, for the AI SDK
agui.py             Agui: /api/agui
call_ids.py         CallIds: what the last two call tool calls
batch_results.py    the results of a batch
"""
