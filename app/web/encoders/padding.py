"""Pad the events of a stream, so that their lengths reveal little about the tokens in them.

Encryption hides the content of an event, not its length. The text of an answer can be guessed from the lengths of
its tokens.

Source: https://arxiv.org/abs/2511.03675 (Whisper Leak), https://arxiv.org/abs/2403.09751
"""

from __future__ import annotations

import secrets
from functools import lru_cache
from random import getrandbits

_END = b"}\n\n"
# 2 ** _VARIANTS_BITS ends are prepared for each length. One of each 16 is a block longer than necessary.
_VARIANTS_BITS = 6
_LONGER_EACH = 16


class Padding:
    """Pads events to multiples of a block.

    The padding is a field of random characters at the end of the event's JSON. Unlike spaces, it does not
    compress. Where the field does not fit, as for most words of six to twelve letters, spaces are added instead:
    the field would cost such an event another block. A field that is longer than a block is always added.

    Args:
        block: the size of a block in bytes; 0 disables padding.
        field: the name of a field that clients of the format ignore; "" pads with spaces only.
    """

    def __init__(self, block: int, field: str = "p") -> None:
        self._block = block or 1
        self._ends = [_make_ends(missing, block, field) for missing in range(self._block)]

    def close(self, event: bytes) -> bytes:
        """Add the padding and the end, `}` and a blank line, to an event that lacks the end of its JSON object."""
        # getrandbits() is seeded in each process, and takes a tenth of the time of a secure random number.
        return event + self._ends[-(len(event) + 3) % self._block][getrandbits(_VARIANTS_BITS)]

    def align(self, event: bytes) -> bytes:
        """Add spaces and the blank line to a complete JSON event.

        This suffices for events of few distinct lengths.
        """
        return b"%b%b\n\n" % (event, b" " * (-(len(event) + 2) % self._block))


@lru_cache
def get_padding(block: int, field: str = "p") -> Padding:
    """Return the padding for this block and field, which is made once a process."""
    return Padding(block, field)


def _make_ends(missing: int, block: int, field: str) -> list[bytes]:
    """Return the variants of the end of an event that is `missing` bytes short of a multiple of a block."""
    longer = [block if number % _LONGER_EACH == 0 else 0 for number in range(2**_VARIANTS_BITS)]
    return [_make_end(missing + more, block, field) for more in longer]


def _make_end(missing: int, block: int, field: str) -> bytes:
    if not field:
        return b" " * missing + _END
    name = b',"%b":"' % field.encode()
    own = len(name) + 1
    while block and missing < own > block:
        missing += block
    if missing < own:
        return b" " * missing + _END
    return name + secrets.token_urlsafe(missing)[: missing - own].encode() + b'"' + _END
