"""What a principal may spend: the limits of its user, its tenant and its token."""

from __future__ import annotations

from app.auth import Principal
from app.config import Config
from app.ledger.periods import Window
from app.ledger.records import Limit


def limits_of(principal: Principal, config: Config) -> list[Limit]:
    """The accounts that a call of theirs is charged to, and how much may be spent from each."""
    window: Window = "day" if config.budget_window == "day" else "month"
    limits = [
        Limit(f"user:{principal.tenant}/{principal.user}", window, *_limit(config, "user")),
        Limit(f"tenant:{principal.tenant}", window, *_limit(config, "tenant")),
    ]
    if principal.budget_micro_usd is not None:
        limits.append(Limit(f"token:{principal.token_id}", "month", principal.budget_micro_usd))
    return [limit for limit in limits if limit.micro_usd is not None or limit.tokens is not None]


def _limit(config: Config, whose: str) -> tuple[int | None, int | None]:
    usd: float = getattr(config, f"{whose}_budget_usd")
    tokens: int = getattr(config, f"{whose}_budget_tokens")
    return (round(usd * 1_000_000) if usd else None), (tokens or None)
