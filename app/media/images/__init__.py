"""Normalize images for a model, and count their tokens.

- `intake`: `ImageNormalizer`, from an upload to the image that is sent. `normalizing` does the work: for a small file in
  this process, otherwise in a side process, where `job` runs.
- `kinds`: detect the format by content. `png`, `jpeg`, `webp`, `gif`: read and strip each format into `stripped`.
  `bmff`: find the size of HEIC and AVIF, which only their decoders read.
- `pixels`: rotate, scale and convert with Pillow.
- `sizing`: how large an image each model uses. `sizes`: the size of the image in a data URL.
- `tokens`: an image's tokens, as a bound and as an estimate.
"""

from app.media.images.intake import ImageNormalizer, ImagesBusy, make_image_processes
from app.media.images.normalizing import ImageRules, NormalizedImage, UnusableImage
from app.media.images.sizes import read_size
from app.media.images.sizing import ImageBounds, find_bounds
from app.media.images.tokens import max_image_tokens, max_page_tokens, typical_image_tokens

__all__ = [
    "ImageBounds",
    "ImageNormalizer",
    "ImageRules",
    "ImagesBusy",
    "NormalizedImage",
    "UnusableImage",
    "find_bounds",
    "make_image_processes",
    "max_image_tokens",
    "max_page_tokens",
    "read_size",
    "typical_image_tokens",
]
