"""Compare this machine's clock with another's."""

from __future__ import annotations

from app.cli.doctor.finding import Finding, fault, ok

# Tokens issued more than 30 s in the future are refused.
_MAX_DIFFERENCE_S = 10


def judge_clock(ahead_s: float, whose: str) -> Finding:
    """Return whether this machine's clock is right, given how far it is ahead of another one."""
    if abs(ahead_s) > _MAX_DIFFERENCE_S:
        side = "ahead of" if ahead_s > 0 else "behind"
        return fault(
            "clock",
            f"This machine's clock is {abs(ahead_s):.0f} s {side} {whose}.",
            "Synchronize both: `timedatectl set-ntp true`.",
        )
    return ok("clock", f"The clock agrees with {whose}.")
