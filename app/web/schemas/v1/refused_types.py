"""Word the refusal of an item or tool whose type is not accepted."""

from __future__ import annotations

import re
from typing import Any

ONLY_CLIENTS = "only functions, custom tools and what the site allows are"
"""Why a tool is refused that the client does not run by itself, or that the owner does not allow."""

_SHOWN = re.compile(r"[a-z][a-z0-9_]{0,39}")


def refuse_type(kind: Any, instead: str) -> str:
    """Return the sentence that refuses an item or tool of this type, whatever it is."""
    named = f"the type {kind}" if isinstance(kind, str) and _SHOWN.fullmatch(kind) else "this type"
    return f"{named} is not accepted: {instead}"
