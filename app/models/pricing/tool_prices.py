"""What OpenAI charges for calls of the tools that it runs itself, beside the tokens.

Searches have a price in genai-prices for each model; for others, and for containers, the listed one of November 2026 goes.
Sources: https://openai.com/api/pricing/ ("Built-in tools": web search $10 and file search $2.50 per 1,000 calls; containers
by memory for a session of 20 minutes) and https://developers.openai.com/api/docs/guides/tools-connectors-mcp (MCP: tokens only).
Images are billed by tokens that nothing tells before, so the most that one can cost is a setting.
Sessions are billed by the minute since June 2026, but how long one lasts is not told with the answer, so a whole one counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

_PER_CALL = {"web_search": 10_000, "file_search": 2_500, "mcp": 0}
"""In micro-dollars."""
_PER_CONTAINER = {"1g": 30_000, "4g": 120_000, "16g": 480_000, "64g": 1_920_000}
_GENAI_PRICES_FIELDS = {"web_search": "web_searches_kcount", "file_search": "storage_searches_kcount"}
_LEAST_MEMORY = "1g"
_IMAGES = "image_generation"


def find_tool_price(tool: Mapping[str, Any], model_prices: Mapping[str, Any], image_micro_usd: int) -> int:
    """Return the price of a call in micro-dollars; of code, that of a container.

    Args:
        tool: as a request has it.
        model_prices: those of genai-prices for the model; empty if it does not know it.
        image_micro_usd: what one image is charged.
    """
    kind = tool["type"]
    if kind == _IMAGES:
        return image_micro_usd
    if kind == "code_interpreter":
        container = tool.get("container")
        memory = container.get("memory_limit") if isinstance(container, Mapping) else None
        return _PER_CONTAINER[memory or _LEAST_MEMORY]
    listed = model_prices.get(_GENAI_PRICES_FIELDS.get(kind, ""))
    if isinstance(listed, Decimal):  # USD for 1,000 calls
        return int(listed * 1_000)
    return _PER_CALL["web_search" if kind.startswith("web_search") else kind]
