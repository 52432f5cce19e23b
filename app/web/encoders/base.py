"""Define the protocol that each wire format of a stream implements, and the base classes that several share."""

from __future__ import annotations

import copy
import errno
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal, Protocol, Self

import orjson

from app.openai_service import CallRecord, Event, Events, Token
from app.openai_service.streaming.passing import TokenFrame
from app.web.encoders.padding import Padding


class TokenEncoder(Protocol):
    """The part of an Encoder that encodes tokens."""

    @property
    def token_frame(self) -> TokenFrame | None:
        """The bytes around the next token, if its text needs no escaping; None if encode() must be called."""

    def encode(self, events: Events) -> bytes:
        """Return the events as bytes; b"" if the format does not send them.

        Raises:
            BrokenStream: the answer failed, and the format cannot express an error.
        """
        ...


class Encoder(TokenEncoder, Protocol):
    """Encodes the events of one answer, in order, in one wire format."""

    @property
    def content_type(self) -> str:
        """The Content-Type of the response."""

    @property
    def heartbeat(self) -> bytes:
        """Bytes that clients ignore, sent while the stream is idle; b"" if the format has none."""


class RecordEncoder(Encoder, Protocol):
    """An encoder whose format has data of the call, such as its model and usage.

    Attributes:
        record: the record of the call, which grows with the stream.
    """

    record: CallRecord


class PricedEncoder(Encoder, Protocol):
    """An encoder whose format reports the cost of the answer.

    Attributes:
        read_cost: returns the cost of the finished call in micro-dollars; None if it is unknown.
    """

    read_cost: Callable[[], int | None]


class BrokenStream(ConnectionResetError):
    """Aborts the connection, so that the client notices that the answer is incomplete.

    The server handles it like a connection that the client closed, and logs nothing.
    """

    def __init__(self) -> None:
        super().__init__(errno.ECONNRESET, "the answer cannot be finished")


class JoiningEncoder(ABC):
    """An encoder whose format has several pieces for one event. Those of all events of one call are joined."""

    GROWING: ClassVar[tuple[type, ...]] = (list, dict, set)
    """The types of mutable attributes, which __copy__() copies deeply."""

    def __copy__(self) -> Self:
        """Return an independent encoder in the same state."""
        copied = type(self).__new__(type(self))
        for name, value in vars(self).items():
            setattr(copied, name, copy.deepcopy(value) if isinstance(value, self.GROWING) else value)
        return copied

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        """The encoded pieces that join() has not joined yet."""

    @property
    def token_frame(self) -> TokenFrame | None:
        """The bytes before and after the next token, if that is all that it needs; otherwise None."""
        return None

    @abstractmethod
    def encode_event(self, event: Event) -> None:
        """Append the encoded pieces of an event."""

    def join(self, events: Events) -> bytes:
        """Return the events as bytes."""
        for event in events:
            self.encode_event(event)
        encoded = b"".join(self.pieces)
        self.pieces.clear()
        return encoded


class PartsEncoder(JoiningEncoder):
    """An encoder whose format starts and ends each part, a text or reasoning.

    Events within a part differ only in text.
    """

    def __init__(self, padding: Padding) -> None:
        super().__init__()
        self.padding = padding
        self.open_part: Literal["text", "reasoning"] | None = None
        """The kind of the open part."""
        self.delta = b""
        """The template of the part's events, with `%b` for the text. It lacks the end of the event."""

    @property
    def token_frame(self) -> TokenFrame | None:
        """The bytes before and after the next token, while a text is open."""
        if self.open_part != "text":
            return None
        return TokenFrame(self.delta.removesuffix(b"%b") + b'"', b'"', self.padding.close)

    def encode(self, events: Events) -> bytes:
        """Return the events as bytes."""
        if self.open_part == "text" and len(events) == 1 and type(event := events[0]) is Token:  # nearly always
            return self.padding.close(self.delta % orjson.dumps(event.text))
        return self.join(events)
