"""Count the tokens of an image, as a bound and as an estimate.

Models scale an image down and cut it into patches of 32 pixels or tiles of 512. None enlarges it.

Source: https://developers.openai.com/api/docs/guides/images-vision#calculating-costs, and, where more was billed than
that says, https://community.openai.com/t/1344040 and https://community.openai.com/t/1377015
"""

from __future__ import annotations

import math

from app.media.images.sizing import count_patches, find_bounds

_TILE = 512
# A square of 2,048 pixels whose shorter side is scaled to 768.
_MAX_TILES = 8
# Tokens of the image, and of each tile, with gpt-4o; gpt-5.1 and o3 have fewer.
_TILED = (85, 170)
_TILED_MINI, _MINI = (2_833, 5_667), "gpt-4o-mini"
# A patch counts for 2.46 with gpt-4.1-nano, which scales to 2,048 pixels, whatever the detail is ...
_MAX_PATCH_TOKENS, _MAX_SMALL_PATCHES = 2.46, 4_096
# ... and for 1.2 where `auto` means `original`: from gpt-5.6 on, up to 30,000 patches. More are refused upstream.
_PATCH, _MAX_PATCHES = 1.2, 30_000
_PAGE_SIZES = ((8_192, 8_192), (8_192, 3 * 8_192))
_TYPICAL_PATCHES = {"low": 256, "high": 2_500}
# A square of 1,024 pixels is 765 tokens in tiles, 1,229 in patches.
_TYPICAL_IMAGE_TOKENS = 1_024


def max_image_tokens(size: tuple[int, int] | None, detail: str, model: str) -> int:
    """Return an upper bound of an image's tokens: of the most expensive model, except for gpt-4o-mini.

    Args:
        size: in pixels, as sent; None if unknown.
        detail: OpenAI's: "low", "high", "auto" or "original".
        model: the requested model.
    """
    base, each = _TILED_MINI if model.lower().startswith(_MINI) else _TILED
    tiles = min(_MAX_TILES, math.ceil(size[0] / _TILE) * math.ceil(size[1] / _TILE)) if size else _MAX_TILES
    in_tiles = base if detail == "low" else base + each * tiles
    if base != _TILED[0]:
        return in_tiles
    count = count_patches(*size) if size else _MAX_PATCHES
    in_patches = _MAX_PATCH_TOKENS * min(count, _MAX_SMALL_PATCHES)
    if detail not in _TYPICAL_PATCHES:
        in_patches = max(in_patches, _PATCH * min(count, _MAX_PATCHES))
    # The source says that rounding may add one.
    return max(in_tiles, math.ceil(in_patches) + 1)


def max_page_tokens(model: str) -> int:
    """Return an upper bound of the tokens of the image that the upstream itself makes of a page, in high detail.

    Its size is unknown: it may be a square, which has the most patches, or three times as high, which has the most tiles.
    """
    bounds = find_bounds(model, "high")
    return max(max_image_tokens(bounds.fit(*size), "high", model) for size in _PAGE_SIZES)


def typical_image_tokens(size: tuple[int, int] | None, detail: str) -> int:
    """Return an estimate of an image's tokens with a current model."""
    if size is None:
        return _TYPICAL_IMAGE_TOKENS
    return math.ceil(_PATCH * min(count_patches(*size), _TYPICAL_PATCHES.get(detail, _MAX_PATCHES)))
