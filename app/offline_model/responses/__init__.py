"""Serve `/v1/responses` with the same answers as chat completions.

- `request`: translate a body into that of a chat. `sealed_reasoning`: reasoning that a client sends back.
- `response`: format an answer as one object. `events`: as the events of a stream.
"""
