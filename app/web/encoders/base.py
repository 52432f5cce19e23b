"""What an encoder is: the one thing that a new wire format adds."""

from __future__ import annotations

import errno
from typing import ClassVar, Protocol

from app.openai_service import Events


class Encoder(Protocol):
    """Turns the events of one answer, in their order, into the bytes of one wire format.

    Attributes:
        content_type: of the whole answer.
        heartbeat: what may be written between events without meaning anything; b"" where nothing may.
    """

    content_type: ClassVar[str]
    heartbeat: ClassVar[bytes]

    def encode(self, batch: Events) -> bytes:
        """The bytes of these events, whole; b"" where they have none in this format.

        Raises:
            BrokenStream: the answer failed, and the format has no way to say so.
        """
        ...


class BrokenStream(ConnectionResetError):
    """Ends an answer without its proper end, so that the reader sees that it is not whole.

    To the server it looks like a visitor's connection that broke, which it passes over without a word.
    """

    def __init__(self) -> None:
        super().__init__(errno.ECONNRESET, "the answer cannot be finished")
