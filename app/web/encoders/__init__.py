"""The wire formats of answers, one file each.

base.py             Encoder: the protocol of the streamed formats
padding.py          Padding: makes the lengths of events tell little of their tokens
token_sse.py        TokenSse: /api/chat/stream and /api/vision/stream
plain_text.py       PlainText: /api/chat/openai
structured_sse.py   StructuredSse: /api/structured/stream
batch_results.py    the results of a batch
"""
