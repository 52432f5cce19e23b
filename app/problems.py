"""Define Problem, the base class of errors that callers may see, and general errors that any package may raise."""

from __future__ import annotations

from typing import Literal, Self


class Problem(Exception):
    """An error that a caller may see: one subclass for each row of the table in docs/errors.md.

    Attributes:
        status: the HTTP status.
        code: the code for programs. It never changes.
        sentence: the text for people, unless the error has a safe message.
        field: the name of the invalid field, which begins the sentence.
        message_is_safe: whether the error's own message may be shown. It must not contain text of the upstream or
            of other users.
        retry_after_s: the value of the header Retry-After; None omits the header.
        outcome: the outcome in the record of a call that this error ended; None leaves it to the raising code.
    """

    status: int
    code: str
    sentence: str
    field: str | None = None
    message_is_safe: bool = False
    retry_after_s: float | None = None
    outcome: str | None = None

    def __init__(self, message: str = "", *, field: str | None = None) -> None:
        """Create the error, with a message and the name of the invalid field."""
        super().__init__(f"{field}: {message}" if field is not None and message else message)
        if field is not None:
            self.field = field

    @property
    def message(self) -> str:
        """The text for the caller."""
        if self.message_is_safe and (message := str(self)):
            return message
        return self.sentence if self.field is None else f"{self.field}: {self.sentence}"


class InvalidRequest(Problem):
    """A field is missing, unknown, of the wrong type or out of bounds, or fields contradict each other."""

    status = 400
    code = "invalid_request"
    sentence = "The request is not valid."
    message_is_safe = True
    fault: Literal["missing", "unknown"] | None = None
    """Why the field is invalid; None if its value is."""

    @classmethod
    def missing(cls, field: str) -> Self:
        """Return the error for a required field that is missing."""
        return cls._build(field, "missing", f"Missing {field}.")

    @classmethod
    def unknown(cls, field: str, hint: str = "") -> Self:
        """Return the error for a field that does not exist, with a hint at the intended field."""
        end = f": {hint}" if hint else ""
        return cls._build(field, "unknown", f"Unknown field {field}{end or '.'}")

    @classmethod
    def _build(cls, field: str, fault: Literal["missing", "unknown"], message: str) -> Self:
        problem = cls(message)
        problem.field, problem.fault = field, fault
        return problem


class Forbidden(Problem):
    """The credential is valid, but not for this route, origin, user, prompt or tool."""

    status = 403
    code = "forbidden"
    sentence = "This credential does not allow that."
    message_is_safe = True


class UnsupportedMediaType(Problem):
    """The route does not accept this `Content-Type`."""

    status = 415
    code = "unsupported_media_type"
    sentence = "Send the body as application/json."
    message_is_safe = True


def make_printable(text: str, max_chars: int) -> str:
    """Return the beginning of a caller's text for a sentence of an error, with "?" in place of unprintable characters."""
    text = text[:max_chars]
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)
