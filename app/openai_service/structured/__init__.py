"""Structured answers: values that match a JSON schema, complete or streamed.

- `checker.py`: checks answers against their schema, and asks the model to repair them.
- `streaming.py`: gets a structured answer, complete or as a stream.
- `partial_json.py`: parses a JSON text that is still incomplete.
- `stored.py`: `AnswerFormat`, the format that is stored with a batch to check its answers hours later.
"""
