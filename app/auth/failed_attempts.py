"""Limit the wrong credentials from one network, counted over all workers.

A credential is checked before it is counted, so a valid one is never refused because of wrong ones from the same
network. Checking a wrong credential takes less work than answering a request. This limits the number of 401
responses, and so what an attacker can learn by guessing.
"""

from __future__ import annotations

import hashlib

from app.auth.address import WIDE_FACTOR, find_wide_network
from app.auth.errors import TooManyFailures
from app.runtime import clock
from app.storage.shared_state import SharedState

MAX_FAILURES = 30
WINDOW_S = 60
_DIGEST_BYTES = 8


class FailedAttemptLimit:
    """Counts wrong credentials in fixed windows of a minute. Around the end of a window, twice the limit can pass.

    A network may send MAX_FAILURES different credentials, and each of them MAX_FAILURES times. So a page that
    repeats an expired token does not use up the limit of other visitors behind the same address.
    """

    def __init__(self, state: SharedState) -> None:
        self._state = state

    def count(self, address: str, credential: str) -> None:
        """Count a wrong credential for its address, and for the wider network of an IPv6 address.

        Raises:
            TooManyFailures: the network has reached its limit in this window. The credential is then not counted.
        """
        self._count(address, credential, MAX_FAILURES)
        network = find_wide_network(address)
        if network is not None:
            self._count(network, credential, WIDE_FACTOR * MAX_FAILURES)

    def _count(self, network: str, credential: str, max_different: int) -> None:
        number, elapsed_s = divmod(clock.now(), WINDOW_S)
        digest = hashlib.blake2b(credential.encode("utf-8", "replace"), digest_size=_DIGEST_BYTES).hexdigest()
        is_counted = False

        def add(value: bytes | None) -> bytes | None:
            nonlocal is_counted
            times = _parse_counts(value)
            before = times.get(digest, 0)
            is_counted = before < MAX_FAILURES and (before > 0 or len(times) < max_different)
            if not is_counted:
                return value
            times[digest] = before + 1
            return _write_counts(times)

        self._state.update(f"auth-failures:{network}:{int(number)}", add, ttl_s=2 * WINDOW_S)
        if not is_counted:
            raise TooManyFailures(WINDOW_S - elapsed_s)


def _parse_counts(value: bytes | None) -> dict[str, int]:
    """Return how often each credential was sent, by its digest."""
    pairs = (pair.partition("=") for pair in (value or b"").decode("ascii", "replace").split())
    return {digest: int(count) for digest, _, count in pairs if count.isdigit()}


def _write_counts(times: dict[str, int]) -> bytes:
    return " ".join(f"{digest}={count}" for digest, count in times.items()).encode("ascii")
