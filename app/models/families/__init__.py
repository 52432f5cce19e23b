"""Know OpenAI's models: what each family accepts on which endpoint, and until when it is served.

- `families.toml`: the table, each rule with its source and date. `catalog`: reads it and finds a model's family.
- `family`: what is known of one.
- `table`: writes docs/models.md.
- `price_list/`: what genai-prices lists for them.
- `refusals/`: what the service answers to a body that it refuses, for the offline model and the tests.

OpenAI changes these rules without notice: they may choose what is tried first, never overrule what the service says.
"""

from __future__ import annotations

from app.models.families.catalog import find_family
from app.models.families.family import Family
from app.models.families.refusals.endpoints import find_refusal
from app.models.families.refusals.refusal import Refusal

__all__ = ["Family", "Refusal", "find_family", "find_refusal"]
