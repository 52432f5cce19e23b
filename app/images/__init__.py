"""Images made ready for a model: detected by content, bounded, stripped of metadata, upright, and scaled down."""

from app.images.intake import ImageIntake, ImagesBusy, Picture, UnusableImage
from app.images.sizes import size_in
from app.images.sizing import limit_for
from app.images.tokens import most_tokens, usual_tokens

__all__ = [
    "ImageIntake",
    "ImagesBusy",
    "Picture",
    "UnusableImage",
    "limit_for",
    "most_tokens",
    "size_in",
    "usual_tokens",
]
