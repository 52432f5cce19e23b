"""The problems of authentication. A valid credential without the necessary scope is problems.Forbidden."""

from __future__ import annotations

from app.problems import Problem


class Unauthenticated(Problem):
    """A required credential is missing, or the credential is invalid, expired or revoked.

    Args:
        reason: a few words for the log, never a part of the credential.
        is_guess: whether the credential was never valid, so that it counts as a failed attempt.
    """

    status = 401
    code = "unauthenticated"
    sentence = "A valid credential is required."

    def __init__(self, reason: str, *, is_guess: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_guess = is_guess


class UnusableUserId(Problem):
    """The header `X-User-Id` does not contain a valid user id."""

    status = 400
    code = "invalid_request"
    sentence = "The user id is not valid."
    message_is_safe = True


class TooManyFailures(Problem):
    """The credential is wrong, and too many wrong credentials were sent from this address."""

    status = 429
    code = "rate_limited"
    sentence = "Too many wrong credentials were sent from this address."

    def __init__(self, retry_after_s: float) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s


class AuthUnavailable(Problem):
    """The public keys of the identity provider cannot be fetched, or there is no `SECRET_KEY` to sign with."""

    status = 503
    code = "auth_unavailable"
    sentence = "Credentials cannot be checked now; try again shortly."
    message_is_safe = True
    retry_after_s = 5.0
