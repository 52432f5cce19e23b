"""Know what genai-prices lists for OpenAI's models, without loading it: with all providers that takes 4.4 MiB of each worker.

- `openai.json`: the list, written by `make models`. `reading`: finds a model in it.
- `writing`: makes the list from the installed genai-prices.
"""

from __future__ import annotations

from app.models.families.price_list.reading import ListedModel, ModelPrices, find_installed_version, find_listed

__all__ = ["ListedModel", "ModelPrices", "find_installed_version", "find_listed"]
