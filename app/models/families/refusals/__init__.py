"""Say what the service answers to a body that it refuses, in its own words.

- `endpoints`: `find_refusal`. `request`: what the rules look at. `refusal`: what they return.
- `common`: rules of every endpoint. `reasoning`: rules of the families.
- `chat`, `responses`, `input_items`: rules of one endpoint.

Statuses, codes and the beginnings of messages are recorded ones; where a message had only been quoted in part, the
rest is in the same style.
"""
