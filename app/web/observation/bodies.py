"""A streamed body that tells when it has ended: only then is known what its request was."""

from __future__ import annotations

from collections.abc import Callable


class ObservedBody:
    """The base of streamed bodies.

    Attributes:
        sent: how many bytes were given to the server.
        error_code: of the error in the stream, or empty.
        when_ended: called once, with the body, when it has ended.
    """

    sent = 0
    error_code = ""
    when_ended: Callable[[ObservedBody], None] | None = None

    def tell_ended(self) -> None:
        """Tell that the body has ended."""
        tell, self.when_ended = self.when_ended, None
        if tell is not None:
            tell(self)
