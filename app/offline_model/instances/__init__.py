"""Make values that match a JSON schema, with words from the user's text.

- `instance`: make a value and validate it. `maker`: walk the schema. `candidates`: try candidates.
- `hints`: words and numbers in the user's text. `common_words`: words that are ignored.
- `numbers`, `strings`: candidates for one field; `matches`: for a pattern.
- `join`: merge two schemas that both apply.
"""
