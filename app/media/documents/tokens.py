"""Count the tokens of a PDF file: the model gets the text of each page, and an image of it.

Source: https://developers.openai.com/api/docs/guides/file-inputs
"""

from __future__ import annotations

# At least these are added around each page.
_FRAME_TOKENS = 32
_BYTES_PER_TOKEN = 4


def max_file_tokens(pages: int, text_bytes: int, page_tokens: int) -> int:
    """Return an upper bound of a file's tokens.

    Args:
        pages: the number of pages.
        text_bytes: of all its text; no token is shorter than a byte.
        page_tokens: the maximum tokens of the image of a page.
    """
    return pages * (page_tokens + _FRAME_TOKENS) + text_bytes


def typical_file_tokens(pages: int, text_bytes: int, page_tokens: int) -> int:
    """Return an estimate of a file's tokens, from the tokens of the image of a typical page."""
    return pages * (page_tokens + _FRAME_TOKENS) + text_bytes // _BYTES_PER_TOKEN
