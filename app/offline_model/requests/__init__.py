"""Parse and validate requests, with OpenAI's errors.

- `chat_request`: the body of a chat. `conversation`: its messages.
- `fields`: read one field. `errors`: the error in OpenAI's form.
"""
