"""Decompressing answers that the upstream compresses although it was not asked to, piece by piece within a bound."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

_PIECE_BYTES = 65_536
# What an answer may have decompressed, besides so many times its compressed size. Text has a tenth of that; a thousand
# times is an attack.
_FREE_BYTES = 8 * 1024 * 1024
_MAX_RATIO = 50
# A body that was compressed more often is taken as it is.
_MAX_CODINGS = 2


class UndecodableBody(ValueError):
    """The body is not compressed as its headers say, or far larger than any answer is."""


def make_decoders(codings: bytes) -> list[Decoder]:
    """Return the decoders of a Content-Encoding, in the order of the codings; none if the body is to be taken as it is."""
    names = [name.strip().lower() for name in codings.split(b",")]
    names = [name for name in names if name not in (b"", b"identity")]
    if len(names) > _MAX_CODINGS or not all(name in (b"gzip", b"x-gzip", b"deflate") for name in names):
        return []
    return [Decoder(is_gzip=name != b"deflate") for name in names]


def decode(decoders: Sequence[Decoder], data: bytes) -> Sequence[bytes]:
    """Return what the next part of a body holds, in small pieces. Raises UndecodableBody."""
    pieces: Sequence[bytes] = [data]
    for decoder in reversed(decoders):  # the last coding was applied last
        pieces = [decoded for piece in pieces for decoded in decoder.decode(piece)]
    return pieces


class Decoder:
    """The state of one body in gzip or deflate."""

    def __init__(self, *, is_gzip: bool) -> None:
        self._is_gzip = is_gzip
        self._inflating: Any = None
        self._bytes_in = 0
        self._bytes_out = 0

    def decode(self, data: bytes) -> Sequence[bytes]:
        """Return what the next part of the body holds, in small pieces. Raises UndecodableBody."""
        self._bytes_in += len(data)
        try:
            return list(self._inflate(data))
        except zlib.error as error:
            raise UndecodableBody(str(error)) from error

    def _inflate(self, data: bytes) -> Iterator[bytes]:
        if self._inflating is None:
            self._inflating = self._begin(data)
        while True:
            piece = self._inflating.decompress(data, _PIECE_BYTES)
            data = self._inflating.unconsumed_tail
            if piece:
                self._bytes_out += len(piece)
                if self._bytes_out > _FREE_BYTES + _MAX_RATIO * self._bytes_in:
                    raise UndecodableBody("the body is far larger than its compressed form")
                yield piece
            if self._inflating.eof:
                data = self._inflating.unused_data
                if not data or not self._is_gzip:
                    return
                self._inflating = self._begin(data)  # gzip may have several members
            elif not data and len(piece) < _PIECE_BYTES:
                return

    def _begin(self, data: bytes) -> Any:
        if self._is_gzip:
            return zlib.decompressobj(zlib.MAX_WBITS | 16)
        # "deflate" means the zlib format; some servers leave its header away, which has this value in its first byte.
        has_header = data[0] & 0x0F == zlib.DEFLATED
        return zlib.decompressobj(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)
