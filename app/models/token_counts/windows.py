"""Find a model's context window in the data of genai-prices."""

from __future__ import annotations

from functools import lru_cache

from app.models.families.price_list import find_listed

# Models with such a window reserve this much for their output, whatever the ceiling is: gpt-5 accepts 272,000 tokens of
# input out of 400,000.
# Source: https://openai.com/index/introducing-gpt-5-for-developers/, and https://github.com/cline/cline/issues/5474
_LONG_WINDOW = 400_000
_LONG_OUTPUT = 128_000


def find_input_window(model: str, output_tokens: int) -> int | None:
    """Return the tokens of a model's context window that are left for the input; None if the window is unknown.

    Args:
        model: the requested model.
        output_tokens: the ceiling of the answer, which shares the window. At most half of the window is reserved for it,
            so that a very high ceiling does not cut the conversation.
    """
    window = find_window(model)
    if window is None:
        return None
    if window >= _LONG_WINDOW:
        output_tokens = max(output_tokens, _LONG_OUTPUT)
    return window - min(output_tokens, window // 2)


def cap_input(input_tokens: int, model: str, output_tokens: int, inputs: int = 1) -> int:
    """Lower a bound of the input to the model's window: the upstream refuses longer inputs, and does not bill them.

    Args:
        input_tokens: the bound, which may be beyond the window.
        model: the requested model.
        output_tokens: the ceiling of the answer, which shares the window.
        inputs: the number of texts that each have a window, in an embeddings request.
    """
    window = find_window(model)
    return input_tokens if window is None else min(input_tokens, (window - min(output_tokens, window)) * inputs)


@lru_cache(maxsize=1_000)
def find_window(model: str) -> int | None:
    """Return a model's context window in tokens; None if it is unknown."""
    found = find_listed(model)
    return None if found is None else found.window
