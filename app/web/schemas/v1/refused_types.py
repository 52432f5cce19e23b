"""Write the error sentence for an item or tool whose type is not accepted."""

from __future__ import annotations

import re
from typing import Any

ACCEPTED_TOOLS = "only functions, custom tools and what the site allows are"
"""The end of the sentence for a tool that the client does not run, or that the settings do not allow."""

_SHOWN = re.compile(r"[a-z][a-z0-9_]{0,39}")


def describe_refusal(kind: Any, instead: str) -> str:
    """Return the sentence that refuses an item or tool of this type. It omits a type that is not a plain name."""
    named = f"the type {kind}" if isinstance(kind, str) and _SHOWN.fullmatch(kind) else "this type"
    return f"{named} is not accepted: {instead}"
