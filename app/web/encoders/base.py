"""Define the protocol that each wire format of a stream implements, and what several of them share."""

from __future__ import annotations

import copy
import errno
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal, Protocol, Self

import orjson

from app.openai_service import Event, Events, Token
from app.openai_service.streaming.passing import TokenFrame
from app.web.encoders.padding import Padding


class TokenEncoder(Protocol):
    """The part of an Encoder that tokens need."""

    @property
    def token_frame(self) -> TokenFrame | None:
        """How the next token is written, if there is nothing else to that, and nothing in it to escape."""

    def encode(self, events: Events) -> bytes:
        """Return the bytes of these events; b"" if the format has none for them.

        Raises:
            BrokenStream: the answer failed, and the format cannot express an error.
        """
        ...


class Encoder(TokenEncoder, Protocol):
    """Turns the events of one answer, in order, into the bytes of one wire format."""

    @property
    def content_type(self) -> str:
        """The Content-Type of the response."""

    @property
    def heartbeat(self) -> bytes:
        """Bytes that readers ignore, sent while the stream is silent; b"" if the format has none."""


class PricedEncoder(Encoder, Protocol):
    """An encoder whose format tells what the answer costs.

    Attributes:
        read_cost: returns the cost of the call, in micro-dollars, once it is done; None if it is not known.
    """

    read_cost: Callable[[], int | None]


class BrokenStream(ConnectionResetError):
    """Breaks the connection, so that the client notices that the answer is incomplete.

    The server takes it for a connection that the client closed, and logs nothing.
    """

    def __init__(self) -> None:
        super().__init__(errno.ECONNRESET, "the answer cannot be finished")


class JoiningEncoder(ABC):
    """An encoder whose format makes several pieces of one event, and joins those of the events that come together."""

    GROWING: ClassVar[tuple[type, ...]] = (list, dict, set)
    """The types of attributes that encoding changes in place."""

    def __copy__(self) -> Self:
        """Return an encoder that goes on from here by itself: what either encodes does not change the other."""
        copied = type(self).__new__(type(self))
        for name, value in vars(self).items():
            setattr(copied, name, copy.deepcopy(value) if isinstance(value, self.GROWING) else value)
        return copied

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        """The pieces that wait to be joined."""

    @property
    def token_frame(self) -> TokenFrame | None:
        """How the next token is written, if a frame is all there is to that."""
        return None

    @abstractmethod
    def encode_event(self, event: Event) -> None:
        """Append the pieces of an event."""

    def join(self, events: Events) -> bytes:
        """Return the bytes of the events."""
        for event in events:
            self.encode_event(event)
        encoded = b"".join(self.pieces)
        self.pieces.clear()
        return encoded


class PartsEncoder(JoiningEncoder):
    """An encoder whose format begins and ends each text: in between, its pieces differ in nothing but their text."""

    def __init__(self, padding: Padding) -> None:
        super().__init__()
        self.padding = padding
        self.open_part: Literal["text", "reasoning"] | None = None
        """The kind of the part that is being written."""
        self.delta = b""
        """The event of its next piece, but for the text and the end."""

    @property
    def token_frame(self) -> TokenFrame | None:
        """How the next token is written, within a text."""
        if self.open_part != "text":
            return None
        return TokenFrame(self.delta.removesuffix(b"%b") + b'"', b'"', self.padding.close)

    def encode(self, events: Events) -> bytes:
        """Return the bytes of the events."""
        if self.open_part == "text" and len(events) == 1 and type(event := events[0]) is Token:  # nearly always
            return self.padding.close(self.delta % orjson.dumps(event.text))
        return self.join(events)
