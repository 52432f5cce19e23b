"""Images made ready for a model: detected by content, bounded, stripped of metadata, upright, and scaled down."""

from app.images.intake import ImageNormalizer, ImagesBusy, NormalizedImage, UnusableImage
from app.images.sizes import read_size
from app.images.sizing import bounds_for
from app.images.tokens import max_image_tokens, typical_image_tokens

__all__ = [
    "ImageNormalizer",
    "ImagesBusy",
    "NormalizedImage",
    "UnusableImage",
    "bounds_for",
    "max_image_tokens",
    "read_size",
    "typical_image_tokens",
]
