"""JSON Schemas from callers: OpenAI's strict subset, normalizing, and validation in bounded time.

- `strict_rules`, `hints`: check a schema against the strict subset, and suggest what to write instead.
- `normalize`, `value_sets`: rewrite a schema into the strict subset where that does not change its meaning.
- `optional_nulls`: remove from an answer the nulls that normalizing added.
- `validator`, `check_cost`, `engine`, `patterns`, `mismatch`: validate values in bounded time.
- `references`, `size`: resolve `$ref`, limit recursion, depth and size.
- `catalog`: the site's own schemas. `errors`: the errors.
"""
