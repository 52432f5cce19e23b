"""The views, one blueprint a file.

chat.py         /api/chat; ui_messages.py has the requests and streams of the AI SDK
frameworks.py   /api/completion and /api/agui
vision.py       /api/vision
embeddings.py   /api/embeddings
structured.py   /api/structured
batches.py      /api/batches
tokens.py       /api/tokens
streams.py      resumes and stops streams
usage.py        /api/usage
health.py       /healthz and /readyz
metrics.py      /metrics, if METRICS_ALLOW is set
webhooks.py     /webhooks/openai
admin/          /api/admin, for keys with the scope `admin`
v1/             the OpenAI-compatible routes below /v1
pages/          the pages for browsers
"""
