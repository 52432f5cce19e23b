"""Find the encoding of a model by its name."""

from __future__ import annotations

import re

# Source: tiktoken/model.py. For gpt-6 it is inferred, as every OpenAI model since gpt-4o uses this encoding.
# Servers with models of several vendors put the vendor's name before the model's: openai/gpt-oss-120b.
# o200k_harmony, the encoding of gpt-oss, has the same tokens, and other special ones.
_BY_NAME = (
    (
        re.compile(r"(?:openai/)?(?:ft:)?(?:chatgpt-4o|gpt-4o|gpt-4\.[15]|gpt-[5-9]|gpt-oss|o[1-9])(?![0-9a-z])"),
        "o200k_base",
    ),
    (re.compile(r"(?:openai/)?(?:ft:)?(?:gpt-4|gpt-3\.?5|text-embedding-(?:3|ada))(?![0-9a-z])"), "cl100k_base"),
)


def find_encoding_name(model: str) -> str | None:
    """Return the name of a model's encoding; None if it is not the name of an OpenAI model."""
    return next((encoding for names, encoding in _BY_NAME if names.match(model)), None)
