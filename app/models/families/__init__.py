"""Describe OpenAI's models: what each family accepts on which endpoint, and until when it is served.

- `families.toml`: the table, each rule with its source and date. `catalog`: reads it and finds a model's family.
- `family`: `Family`, the rules of one family.
- `table`: writes docs/models.md.
- `price_list/`: the windows and prices that genai-prices lists.
- `refusals/`: OpenAI's error responses to invalid bodies, for the offline model and the tests.

OpenAI changes these rules without notice. So they may decide what is tried first, but never override OpenAI's response.
"""

from __future__ import annotations

from app.models.families.catalog import find_family
from app.models.families.family import Family
from app.models.families.refusals.endpoints import find_refusal
from app.models.families.refusals.refusal import Refusal

__all__ = ["Family", "Refusal", "find_family", "find_refusal"]
