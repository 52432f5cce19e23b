"""Why a request is not let in.

Unauthenticated      401: no credential, or one that does not count
Forbidden            403: a credential that counts, but not for this
UnusableUserId       400: a name that no user can have
TooManyFailures      429: one address has tried too many wrong credentials
AuthUnavailable      503: what would tell is away; nobody is let in meanwhile
"""

from __future__ import annotations


class Unauthenticated(Exception):
    """Whoever sends this has not shown who they are.

    Args:
        reason: for the log, in one word or two; never a part of the credential.
        is_guess: the credential was never given out here, as one is that was made up.
    """

    def __init__(self, reason: str, *, is_guess: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_guess = is_guess


class Forbidden(Exception):
    """Whoever sends this has no right to it. The message is a safe sentence, or empty."""


class UnusableUserId(ValueError):
    """What is to name a user cannot. The message is a safe sentence."""


class TooManyFailures(Exception):
    """Too many credentials from this address were wrong."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s


class AuthUnavailable(Exception):
    """Whether a credential counts cannot be told now. The message is a safe sentence, or empty."""
