"""Find the largest image that each model uses, by the requested detail.

Source: https://developers.openai.com/api/docs/guides/images-vision#model-sizing-behavior
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

PATCH = 32


@dataclass(frozen=True, slots=True)
class ImageBounds:
    """The largest picture that a model uses unscaled: in pixels per side, and in patches that cover it.

    A row of patches along the longer side must fit into `patches` as well.
    """

    side: int = 65_535
    short_side: int = 65_535
    patches: int = 30_000

    def fit(self, width: int, height: int) -> tuple[int, int]:
        """Return the size scaled down to the bounds; a smaller one is unchanged."""
        short, long = sorted((width, height))
        scale = min(1.0, self.side / long, self.short_side / short)
        short_patches, long_patches = short * scale / PATCH, long * scale / PATCH
        if math.ceil(short_patches) * math.ceil(long_patches) > self.patches:
            scale *= self._compute_shrinking(short_patches, long_patches)
        return _floor(width * scale) or 1, _floor(height * scale) or 1

    def _compute_shrinking(self, short_patches: float, long_patches: float) -> float:
        """Return the scale factor by the upstream's own formula, so that it does not scale again."""
        shrinking = math.sqrt(self.patches / (short_patches * long_patches))
        short, long = short_patches * shrinking, long_patches * shrinking
        return shrinking * min(_floor(short) / short, _floor(long) / long)


def _floor(number: float) -> int:
    """Round down, but tolerate a rounding error just below a whole number."""
    return math.floor(number + 1e-6)


def count_patches(width: int, height: int) -> int:
    """Return how many patches cover a picture."""
    return math.ceil(width / PATCH) * math.ceil(height / PATCH)


def find_bounds(model: str, detail: str) -> ImageBounds:
    """Return the bounds of a model. An unknown model gets the largest bounds of all known ones."""
    bounds = next((bounds for names, bounds in _KNOWN if names.fullmatch(model.lower())), _LARGEST)
    return bounds.get(detail, bounds["auto"])


def _match_names(*names: str) -> re.Pattern[str]:
    """Return a pattern for model names and their dated snapshots. Variants (-codex, -pro) may have other limits."""
    return re.compile(rf"({'|'.join(map(re.escape, names))})(-\d{{4}}-\d\d-\d\d)?")


_SMALL = ImageBounds(side=512)
_HIGH = ImageBounds(side=2_048, patches=2_500)
_ORIGINAL = ImageBounds(side=6_000, patches=10_000)
_BOX = ImageBounds(side=2_048)
_TILES = ImageBounds(side=2_048, short_side=768)

_KNOWN: tuple[tuple[re.Pattern[str], dict[str, ImageBounds]], ...] = (
    # `auto` is `original` here. More patches than 30,000 are refused upstream, not scaled down. gpt-6-astra has no
    # limit of 2,048 for `high`, as gpt-5.6 has; models of the family that the source omits are assumed to be the same.
    (
        re.compile(r"gpt-(5\.6|6)([.-].*)?"),
        {"low": _SMALL, "high": ImageBounds(patches=2_500), "auto": ImageBounds(patches=30_000)},
    ),
    (
        _match_names("gpt-5.5"),
        {"low": _SMALL, "high": _HIGH, "auto": _ORIGINAL},
    ),
    # Here `low` uses more than `high`, and ignores 512.
    (_match_names("gpt-5.4"), {"low": _BOX, "high": _HIGH, "auto": _HIGH, "original": _ORIGINAL}),
    (_match_names("gpt-5.4-mini", "gpt-5.4-nano"), {"low": _BOX, "high": _HIGH, "auto": _HIGH}),
    (_match_names("gpt-5.2", "gpt-4.1-mini"), {"auto": _BOX}),
    (
        _match_names("gpt-5.1", "gpt-4.1", "gpt-4o", "gpt-4o-mini"),
        {"low": _SMALL, "high": _TILES, "auto": _TILES},
    ),
)
# A square of 2,048 pixels has 4,096 patches.
_LARGEST = {"low": _BOX, "high": ImageBounds(patches=4_096), "auto": ImageBounds(patches=30_000)}
