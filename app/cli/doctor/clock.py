"""This machine's clock beside that of another one."""

from __future__ import annotations

from app.cli.doctor.finding import Finding, fault, ok

# Tokens are refused that are further in the future than 30 s.
_MOST_S = 10


def judge_clock(ahead_s: float, whose: str) -> Finding:
    """Return whether this machine's clock is right, by how far it is ahead of another's."""
    if abs(ahead_s) > _MOST_S:
        side = "ahead of" if ahead_s > 0 else "behind"
        return fault(
            "clock",
            f"This machine's clock is {abs(ahead_s):.0f} s {side} {whose}.",
            "Synchronize both: `timedatectl set-ntp true`.",
        )
    return ok("clock", f"The clock agrees with {whose}.")
