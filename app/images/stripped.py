"""Stripped: the one still picture in a file, and what the file said of how to show it."""

from __future__ import annotations

from dataclasses import dataclass


class Damaged(ValueError):
    """A file that breaks the rules of its own format, or ends too early."""


@dataclass(frozen=True, slots=True)
class Stripped:
    """A picture without anything beside it.

    Attributes:
        data: the file without metadata, further frames, and what follows its end; losslessly.
        width, height: in pixels, as stored.
        exif: holds the orientation. None where the file has none.
        icc: the profile of its colours. None stands for sRGB.
        is_common: whether every decoder shows it alike.
        is_lossy: whether its pixels were changed when it was written.
    """

    data: bytes
    width: int
    height: int
    exif: bytes | None = None
    icc: bytes | None = None
    is_common: bool = True
    is_lossy: bool = False
