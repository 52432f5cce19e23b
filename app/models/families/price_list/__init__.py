"""Read what genai-prices lists for OpenAI's models, without loading all its providers: they take 4.4 MiB a worker.

- `openai.json`: the list, written by `make models`. `reading`: finds a model in it.
- `writing`: writes the list from the installed genai-prices.
"""

from __future__ import annotations

from app.models.families.price_list.reading import ListedModel, ModelPrices, find_installed_version, find_listed

__all__ = ["ListedModel", "ModelPrices", "find_installed_version", "find_listed"]
