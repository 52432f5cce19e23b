"""A streamed body that tells when it has ended: only then is known what its request was."""

from __future__ import annotations

from collections.abc import Callable


class ObservedBody:
    """The base of streamed bodies.

    Attributes:
        sent: how many bytes were given to the server.
        error_code: of the error in the stream, or empty.
    """

    sent = 0
    error_code = ""
    _listeners: tuple[Callable[[ObservedBody], None], ...] = ()

    def when_ended(self, listener: Callable[[ObservedBody], None]) -> None:
        """Have a listener called once, with the body, when it has ended."""
        self._listeners = (*self._listeners, listener)

    def tell_ended(self) -> None:
        """Tell that the body has ended."""
        listeners, self._listeners = self._listeners, ()
        for listener in listeners:
            listener(self)
