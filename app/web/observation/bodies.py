"""Notify listeners when a streamed body has ended: the outcome of its request is unknown until then."""

from __future__ import annotations

from collections.abc import Callable


class ObservedBody:
    """The base class of streamed bodies.

    Attributes:
        sent: the number of bytes handed to the server.
        error_code: the code of the error in the stream; empty if there is none.
    """

    sent = 0
    error_code = ""
    _listeners: tuple[Callable[[ObservedBody], None], ...] = ()

    def add_end_listener(self, listener: Callable[[ObservedBody], None]) -> None:
        """Add a listener that is called once, with this body, when the body has ended."""
        self._listeners = (*self._listeners, listener)

    def notify_ended(self) -> None:
        """Call and remove all listeners."""
        listeners, self._listeners = self._listeners, ()
        for listener in listeners:
            listener(self)
