"""Problem: the base of every error that a caller may see, and the general ones, which any package may raise."""

from __future__ import annotations

from typing import Self


class Problem(Exception):
    """An error that a caller may see: one subclass for each row of the table in docs/errors.md.

    Attributes:
        status: of the HTTP answer.
        code: for programs. It never changes.
        sentence: for people, where the error has no text of its own that may be shown.
        field: the name of the field at fault; it begins the sentence.
        message_is_safe: whether the error's own text may be shown: it holds nothing of the upstream's or of others.
        retry_after_s: for the header Retry-After; None sends none.
        outcome: in the record of a call that ended by this error; None leaves it to where it was raised.
    """

    status: int
    code: str
    sentence: str
    field: str | None = None
    message_is_safe: bool = False
    retry_after_s: float | None = None
    outcome: str | None = None

    def __init__(self, message: str = "", *, field: str | None = None) -> None:
        """Take a text of the error's own, and the field that it is about."""
        super().__init__(f"{field}: {message}" if field is not None and message else message)
        if field is not None:
            self.field = field

    @property
    def message(self) -> str:
        """What the caller reads."""
        if self.message_is_safe and (message := str(self)):
            return message
        return self.sentence if self.field is None else f"{self.field}: {self.sentence}"


class InvalidRequest(Problem):
    """A field of the request is missing, unknown, of another type or out of bounds, or fields do not go together."""

    status = 400
    code = "invalid_request"
    sentence = "The request is not valid."
    message_is_safe = True

    @classmethod
    def missing(cls, field: str) -> Self:
        """Return the error of a field that has to be given."""
        return cls._naming(field, f"Missing {field}.")

    @classmethod
    def unknown(cls, field: str) -> Self:
        """Return the error of a field that does not exist."""
        return cls._naming(field, f"Unknown field {field}.")

    @classmethod
    def _naming(cls, field: str, message: str) -> Self:
        problem = cls(message)
        problem.field = field
        return problem


class Forbidden(Problem):
    """The credential is valid, but not for this route, origin, user, prompt or tool."""

    status = 403
    code = "forbidden"
    sentence = "This credential does not allow that."
    message_is_safe = True


class UnsupportedMediaType(Problem):
    """The `Content-Type` is not one that the route takes."""

    status = 415
    code = "unsupported_media_type"
    sentence = "Send the body as application/json."
    message_is_safe = True
