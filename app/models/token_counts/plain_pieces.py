"""Estimate the tokens of a stream's pieces by their shape, because most pieces share a few shapes."""

from __future__ import annotations

from app.models.token_counts.estimates import weigh_text

# A stream of words has a few dozen shapes: " aaa" is that of " the" and of " you". Longer pieces rarely share one.
_MAX_SHAPES, _MAX_BYTES = 1024, 64
_OTHER = "\\"


def _shape(byte: int) -> str:
    character = chr(byte)
    if byte > 126 or byte < 32 or character in '"\\':
        return _OTHER
    if character.isalnum():
        return "a" if character.islower() else "A" if character.isupper() else "0"
    return " " if character == " " else "."


SHAPES = "".join(map(_shape, range(256))).encode()
"""A table for bytes.translate(), which returns the shape of a piece: the kind of each byte, as the estimate sees it."""


class PlainPieces(dict[bytes, float]):
    """The estimated tokens of plain pieces, by shape: at least 1.

    A plain piece is printable ASCII that needs no escaping in JSON. The estimate of any other piece is 0 here. Looking a
    shape up takes a fifteenth of the time of an estimate.
    """

    def __missing__(self, shape: bytes) -> float:
        text = shape.decode()
        weight = max(weigh_text(text), 1.0) if text and _OTHER not in text else 0.0
        if len(shape) <= _MAX_BYTES:
            if len(self) >= _MAX_SHAPES:
                self.clear()
            self[shape] = weight
        return weight


PIECES = PlainPieces()
"""The pieces of all streams of this process. They contain shapes only, nothing of the texts themselves."""
