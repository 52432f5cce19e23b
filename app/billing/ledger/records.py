"""The ledger's values (limits, entries, holds, settlements) and its errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.billing.ledger.call_notes import CallNote
from app.frozen import frozen
from app.models.token_counts.usage import FIGURES, Figures
from app.problems import Problem
from app.runtime.periods import Window

Source = Literal["reported", "estimated", "cached"]
"""Where the token counts come from: the upstream, an estimate, or a cached answer, which used none."""

SUMS = ("requests", "estimated", "unpriced", *FIGURES, "tokens", "cost_micro_usd")
"""The columns that are summed in every table of totals."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The maximum that one account may spend in a day or month.

    Attributes:
        key: the account: "user:acme/42".
        window: the period, in UTC.
        micro_usd: None means unlimited.
        tokens: None means unlimited.
    """

    key: str
    window: Window
    micro_usd: int | None = None
    tokens: int | None = None


@frozen()
class NewEntry:
    """The caller, operation and model of a request. The client may choose `request_id`, so it is not unique."""

    request_id: str
    tenant: str
    user: str
    token_id: str | None
    route: str
    operation: str
    model: str

    def of_model(self, model: str) -> NewEntry:
        """Return a copy with another model. It is cheaper than replace(), which makes a call for each field."""
        return NewEntry(self.request_id, self.tenant, self.user, self.token_id, self.route, self.operation, model)


@dataclass(slots=True)
class Hold:
    """A pending entry: its request may be sent, and must be settled.

    Attributes:
        id: begins with the time, so that rows are appended.
        limits: sorted by account and window.
        micro_usd: the amount held; None if the price is unknown.
        tokens: the tokens held.
        created_at: UTC in milliseconds; decides the days and months that are charged.
        note: records the progress of the request, for the sweep; None if there is no room or no folder for it.
    """

    id: str
    limits: tuple[Limit, ...]
    micro_usd: int | None
    tokens: int
    created_at: int
    note: CallNote | None = None


@frozen(kw_only=True)
class Settlement(Figures):
    """How a request ended and what it cost.

    Attributes:
        outcome: complete, client_gone, upstream_error, expired, …
        source: where the token counts come from. A reported zero is zero.
        model: the model that served the request; None if none did.
        cost_micro_usd: None if the price is unknown; then only tokens are charged.
        price_version: the version of the price list.
        attempts: number of requests sent to models.
        tool_calls: number of server tool calls.
        first_token_ms: time to the first token; None if nothing was streamed.
        total_ms: duration of the call.
        tokens: the tokens charged to budgets; None means prompt plus completion.
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
        """The tokens that budgets are charged."""
        if self.tokens is not None:
            return self.tokens
        return (self.prompt_tokens or 0) + (self.completion_tokens or 0)


class BudgetExceeded(Problem):
    """The request's maximum cost exceeds what a budget of the user, tenant or token has left.

    Attributes:
        limit: the exceeded limit.
        retry_after_s: seconds until the request may fit; None if it exceeds the whole limit.
        is_held_by_running: whether the request would fit if the running requests cost nothing.
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
    """The model's price is unknown, and a budget is in dollars."""

    status = 403
    code = "forbidden"
    field = "model"
    sentence = "its price is unknown, so a budget in dollars does not allow it."

    def __init__(self, limit: Limit) -> None:
        super().__init__(f"the {limit.window}'s limit of {limit.key}")
        self.limit = limit


class HoldExpired(Problem):
    """The request ran longer than its lease, so the sweep has settled its hold."""

    status = 504
    code = "upstream_timeout"
    sentence = "The model did not answer in time."
