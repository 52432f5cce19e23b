"""The steps before and after the upstream call of a conversation.

- `history.py`: removes the oldest turns of a conversation that is too long
- `input_window.py`: trims a request to the models' context windows and MAX_INPUT_TOKENS
- `pipeline.py`: runs moderation and the cache before and after an upstream call
- `moderation.py`: checks conversations and answers with OpenAI's moderation endpoint
- `response_cache.py`: caches complete answers
- `completion.py`: parses a complete answer
- `shown_usage.py`: removes cached tokens from a usage whose caller may not see them
"""
