"""What goes into the ledger and comes out of it: limits, entries, holds, settlements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.problems import Problem
from app.runtime.periods import Window
from app.token_counts.usage import Figures

Source = Literal["reported", "estimated", "cached"]
"""Who has told the tokens: the upstream, or nobody; or there were none, as the answer was there already."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What may be spent from one account in each day or month.

    Attributes:
        key: names the account: "user:acme/42".
        micro_usd: None leaves money unlimited, as it does with tokens.
    """

    key: str
    window: Window
    micro_usd: int | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class NewEntry:
    """Who asks for what. The request id may be the caller's own, so it need not be unique."""

    request_id: str
    tenant: str
    user: str
    token_id: str | None
    route: str
    operation: str
    model: str


@dataclass(slots=True)
class Hold:
    """An entry that is pending: the request may go to the upstream, and has to be settled."""

    id: str
    limits: tuple[Limit, ...]
    micro_usd: int | None
    tokens: int
    created_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement(Figures):
    """How a request ended and what it cost.

    Attributes:
        outcome: complete, client_gone, upstream_error, expired, …
        source: who has told the tokens. A reported zero is zero.
        model: the one that served, if any did.
        cost_micro_usd: None where no price is known; nothing is then charged but tokens.
        tool_calls: how many calls of tools this server answered.
        tokens: what budgets are charged; None takes prompt and completion together.
    """

    outcome: str
    source: Source
    model: str | None = None
    cost_micro_usd: int | None = None
    price_version: str | None = None
    attempts: int = 0
    tool_calls: int = 0
    first_token_ms: int | None = None
    total_ms: int | None = None
    tokens: int | None = None

    @property
    def charged_tokens(self) -> int:
        if self.tokens is not None:
            return self.tokens
        return (self.prompt_tokens or 0) + (self.completion_tokens or 0)


class BudgetExceeded(Problem):
    """The most that this request may cost is more than the user's, the tenant's or the token's budget has left.

    Attributes:
        retry_after_s: until it may; None where the request is larger than the whole limit.
        is_held_by_running: it would, if requests that still run cost nothing.
    """

    status = 429
    code = "budget_exceeded"
    sentence = "The budget does not allow this request."

    def __init__(self, limit: Limit, *, retry_after_s: int | None, is_held_by_running: bool) -> None:
        super().__init__(f"the {limit.window}'s limit of {limit.key}")
        self.limit = limit
        self.retry_after_s = retry_after_s
        self.is_held_by_running = is_held_by_running


class Unpriced(Problem):
    """The model has no known price, and a budget is in dollars."""

    status = 403
    code = "forbidden"
    field = "model"
    sentence = "its price is unknown, so a budget in dollars does not allow it."

    def __init__(self, limit: Limit) -> None:
        super().__init__(f"the {limit.window}'s limit of {limit.key}")
        self.limit = limit


class HoldExpired(Problem):
    """The request took so long that its hold on the budget was settled without it."""

    status = 504
    code = "upstream_timeout"
    sentence = "The model did not answer in time."
