"""Speak the form of `/v1/responses`, over the same answers as the chat's.

- `request`: read a body, by translating it into that of a chat. `sealed_reasoning`: thoughts that come back.
- `response`: format an answer as one object. `events`: as the events of a stream.
"""
