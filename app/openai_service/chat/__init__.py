"""One conversation: its input window, moderation and cached answer, and its completion.

- `history.py`: leaves out the oldest turns of a conversation.
- `input_window.py`: trims a request to the models' context windows and MAX_INPUT_TOKENS.
- `pipeline.py`: runs moderation and the cache around an upstream call.
- `moderation.py`: checks conversations and answers with OpenAI's moderation endpoint.
- `response_cache.py`: caches complete answers.
- `completion.py`: parses OpenAI's chat completion object.
- `shown_usage.py`: the usage of an answer as its caller may see it.
"""
