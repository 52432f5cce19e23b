"""Price calls of the tools that OpenAI runs itself, in addition to the tokens.

- Searches: the model's price in genai-prices. For models that it does not have, the listed price of November 2026.
- Containers: the listed price of November 2026. Since June 2026 OpenAI bills sessions by the minute, but does not
report
  how long a session lasted, so a whole session of 20 minutes is charged.
- Images: they are billed by tokens, whose number is unknown before. So the maximum price of an image is a setting.
- MCP: tokens only.

Sources: https://openai.com/api/pricing/ ("Built-in tools": web search $10 and file search $2.50 per 1,000 calls; containers
by memory for a session of 20 minutes) and https://developers.openai.com/api/docs/guides/tools-connectors-mcp (MCP: tokens only).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

_PER_CALL = {"web_search": 10_000, "file_search": 2_500, "mcp": 0}
"""In micro-dollars."""
_PER_CONTAINER = {"1g": 30_000, "4g": 120_000, "16g": 480_000, "64g": 1_920_000}
_GENAI_PRICES_FIELDS = {"web_search": "web_searches_kcount", "file_search": "storage_searches_kcount"}
_DEFAULT_MEMORY = "1g"
_IMAGES = "image_generation"


def find_tool_price(tool: Mapping[str, Any], model_prices: Mapping[str, Any], image_micro_usd: int) -> int:
    """Return the price of a call in micro-dollars; for the code interpreter, that of a container.

    Args:
        tool: the tool's declaration in the request.
        model_prices: the prices of the model in genai-prices; empty if it does not have the model.
        image_micro_usd: the price charged for one image.
    """
    kind = tool["type"]
    if kind == _IMAGES:
        return image_micro_usd
    if kind == "code_interpreter":
        container = tool.get("container")
        memory = container.get("memory_limit") if isinstance(container, Mapping) else None
        return _PER_CONTAINER[memory or _DEFAULT_MEMORY]
    listed = model_prices.get(_GENAI_PRICES_FIELDS.get(kind, ""))
    if isinstance(listed, Decimal):  # USD for 1,000 calls
        return int(listed * 1_000)
    return _PER_CALL["web_search" if kind.startswith("web_search") else kind]
