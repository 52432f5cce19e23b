"""Parses the parts of an answer, complete or streamed, in the variants that different servers send.

- `contents.py`: text, refusal and reasoning of a message or delta.
- `finish_reasons.py`: maps the finish reasons of many servers to those of our API.
- `tool_calls.py`: `ToolCalls`, which collects the tool calls of an answer.
- `text.py`: parses JSON that contains split or lone surrogates.
"""
