"""Padding: makes the events of a stream lengths that tell little of the tokens in them.

Encryption hides what is sent, not how long it is, and from the lengths of an answer's tokens its text can be guessed.

Source: https://arxiv.org/abs/2511.03675 (Whisper Leak), https://arxiv.org/abs/2403.09751
"""

from __future__ import annotations

import secrets
from functools import lru_cache
from random import getrandbits

_END = b"}\n\n"
# So many ends are prepared for each length; of each 16 of them, one is longer by a block than it has to be.
_VARIANTS_BITS = 6
_LONGER_EACH = 16


class Padding:
    """Pads events to multiples of a block.

    A field of random characters is added at the end of an event's JSON, which does not compress as spaces would.
    Where it has no room, as for most words of six to twelve letters, there are spaces: the field alone would
    cost such an event another block. A field that is longer than a block is always there.

    Args:
        block: in bytes; 0 for no padding.
        field: the name, which readers of the format ignore; "" for spaces alone, where they may not ignore any.
    """

    def __init__(self, block: int, field: str = "p") -> None:
        self._block = block or 1
        self._ends = [_make_ends(missing, block, field) for missing in range(self._block)]

    def close(self, event: bytes) -> bytes:
        """Return an event that lacks the end of its JSON object, `}` and what follows, with it and the padding."""
        # getrandbits() is seeded anew in each process, and takes a tenth of what a secure number does.
        return event + self._ends[-(len(event) + 3) % self._block][getrandbits(_VARIANTS_BITS)]

    def align(self, event: bytes) -> bytes:
        """Return a complete JSON event, without its blank line, with it after spaces: of what has few lengths anyway."""
        return b"%b%b\n\n" % (event, b" " * (-(len(event) + 2) % self._block))


@lru_cache
def get_padding(block: int, field: str = "p") -> Padding:
    """Return the padding of a process for this block and field."""
    return Padding(block, field)


def _make_ends(missing: int, block: int, field: str) -> list[bytes]:
    """Return the ends for an event that lacks so many bytes to the next multiple of a block."""
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
