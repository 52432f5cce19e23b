"""Server tools: functions of the site that the model can call.

- `tool.py`: the protocol of a tool, and its errors.
- `executor.py`: runs the calls of one round in threads.
- `loop.py`: alternates between the model and its tools until the model answers in text.
"""
