"""Why a request is not let in. For a valid credential without the right to do something there is problems.Forbidden."""

from __future__ import annotations

from app.problems import Problem


class Unauthenticated(Problem):
    """There is no credential where one is needed, or it is not valid or not valid any more.

    Args:
        reason: for the log, in one word or two; never a part of the credential.
        is_guess: the credential was never given out here, as one is that was made up.
    """

    status = 401
    code = "unauthenticated"
    sentence = "A valid credential is required."

    def __init__(self, reason: str, *, is_guess: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_guess = is_guess


class UnusableUserId(Problem):
    """The header `X-User-Id` holds what no user can be called."""

    status = 400
    code = "invalid_request"
    sentence = "The user id cannot be used."
    message_is_safe = True


class TooManyFailures(Problem):
    """Too many credentials from this address were wrong."""

    status = 429
    code = "rate_limited"
    sentence = "Too many wrong credentials came from this address."

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
