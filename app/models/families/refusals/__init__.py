"""Reproduce OpenAI's error responses to bodies that it refuses.

- `endpoints`: `find_refusal`. `request`: `Request`, the input of the rules. `refusal`: `Refusal`, their result.
- `common`: rules of every endpoint. `reasoning`: rules of the families.
- `chat`, `responses`, `input_items`: rules of one endpoint.

Statuses, codes and the beginnings of messages are recorded from the API. Where only a part of a message was found
quoted, the rest is written in the same style.
"""
