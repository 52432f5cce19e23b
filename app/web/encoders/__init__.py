"""The wire formats of answers, one file each.

base.py             Encoder: the protocol of the streamed formats
padding.py          Padding: makes the lengths of events tell little of their tokens
token_sse.py        TokenSse: /api/chat/stream and /api/vision/stream
openai_sse.py       OpenAISse: /v1/chat/completions
openai_error.py     the error object of everything below /v1
plain_text.py       PlainText: /api/chat/openai
structured_sse.py   StructuredSse: /api/structured/stream
batch_results.py    the results of a batch
"""
