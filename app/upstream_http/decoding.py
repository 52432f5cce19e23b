"""Decompresses answers that were compressed without request, in small pieces, up to a maximum size."""

from __future__ import annotations

import sys
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import brotli

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_GZIP_MAGIC = b"\x1f\x8b"
_PIECE_BYTES = 65_536
# The maximum decompressed size is `_BASE_BYTES` plus `_MAX_RATIO` times the compressed size. Text has a ratio of about 5;
# a ratio of 1,000 is an attack.
_BASE_BYTES = 8 * 1024 * 1024
_MAX_RATIO = 50
# A body with more codings is not decompressed.
_MAX_CODINGS = 2
# The maximum window that a zstd decoder has to support by RFC 9659; no server may use a larger one.
_MAX_ZSTD_WINDOW = 8 * 1024 * 1024


class UndecodableBody(ValueError):
    """The body is not compressed as its headers say, or far larger than any answer."""


def make_decoders(codings: bytes) -> list[Decoder]:
    """Return the decoders of a Content-Encoding, in the order of the codings; an empty list to leave the body as it is."""
    names = [name.strip().lower() for name in codings.split(b",")]
    names = [name for name in names if name not in (b"", b"identity")]
    if len(names) > _MAX_CODINGS or not all(name in _DECODERS for name in names):
        return []
    return [_DECODERS[name]() for name in names]


def decode(decoders: Sequence[Decoder], data: bytes) -> Sequence[bytes]:
    """Decompress the next part of a body with all decoders, into small pieces. Raises UndecodableBody."""
    pieces: Sequence[bytes] = [data]
    for decoder in reversed(decoders):  # the last coding was applied last
        pieces = [decoded for piece in pieces for decoded in decoder.decode(piece)]
    return pieces


class Decoder(ABC):
    """The state of decompressing one body. Each coding has a subclass."""

    def __init__(self) -> None:
        self._bytes_in = 0
        self._bytes_out = 0

    def decode(self, data: bytes) -> Sequence[bytes]:
        """Decompress the next part of the body into small pieces. Raises UndecodableBody."""
        self._bytes_in += len(data)
        try:
            return list(self._bounded(self._inflate(data)))
        except (zlib.error, brotli.error, zstd.ZstdError) as error:
            raise UndecodableBody(str(error)) from error

    def _bounded(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._bytes_out += len(piece)
            if self._bytes_out > _BASE_BYTES + _MAX_RATIO * self._bytes_in:
                raise UndecodableBody("the body is far larger than its compressed form")
            if piece:
                yield piece

    @property
    def is_truncated(self) -> bool:
        """Whether the body would be truncated if it ended here. Only zstd detects it; truncated JSON is invalid anyway."""
        return False

    @abstractmethod
    def _inflate(self, data: bytes) -> Iterator[bytes]:
        """Yield the decompressed pieces of the next part of the body; a piece may be empty."""


class _Deflate(Decoder):
    """The coding "deflate", which is the zlib format."""

    _inflating: Any = None
    _has_members = False
    """Whether another member may follow after the end of one."""

    def _inflate(self, data: bytes) -> Iterator[bytes]:
        if self._inflating is None:
            self._inflating = self._begin(data)
        while True:
            piece = self._inflating.decompress(data, _PIECE_BYTES)
            data = self._inflating.unconsumed_tail
            yield piece
            if self._inflating.eof:
                data = self._inflating.unused_data
                if not self._has_members or not data.startswith(_GZIP_MAGIC):  # the rest is padding
                    return
                self._inflating = self._begin(data)
            elif not data and len(piece) < _PIECE_BYTES:
                return

    def _begin(self, data: bytes) -> Any:
        # Some servers omit the zlib header, whose first byte has this value.
        has_header = data[0] & 0x0F == zlib.DEFLATED
        return zlib.decompressobj(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)


class _Gzip(_Deflate):
    _has_members = True

    def _begin(self, _: bytes) -> Any:
        return zlib.decompressobj(zlib.MAX_WBITS | 16)


class _Brotli(Decoder):
    def __init__(self) -> None:
        super().__init__()
        self._inflating = brotli.Decompressor()

    def _inflate(self, data: bytes) -> Iterator[bytes]:
        while piece := self._inflating.process(data, output_buffer_limit=_PIECE_BYTES):
            yield piece
            data = b""


class _Zstd(Decoder):
    def __init__(self) -> None:
        super().__init__()
        self._inflating = self._begin()

    def _inflate(self, data: bytes) -> Iterator[bytes]:
        while True:
            if self._inflating.eof:  # another frame may follow after the end of one
                self._inflating = self._begin()
            yield self._inflating.decompress(data, _PIECE_BYTES)
            data = self._inflating.unused_data
            if not data and (self._inflating.needs_input or self._inflating.eof):
                return

    @property
    def is_truncated(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._bytes_in > 0 and not self._inflating.eof

    def _begin(self) -> zstd.ZstdDecompressor:
        largest = {int(zstd.DecompressionParameter.window_log_max): _MAX_ZSTD_WINDOW.bit_length() - 1}
        return zstd.ZstdDecompressor(options=largest)


_DECODERS: dict[bytes, type[Decoder]] = {
    b"gzip": _Gzip,
    b"x-gzip": _Gzip,
    b"deflate": _Deflate,
    b"br": _Brotli,
    b"zstd": _Zstd,
}
