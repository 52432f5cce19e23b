"""How to get what the factory built."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from flask import Flask, Request, current_app, g

from app.auth import Authenticator, Principal
from app.batches import Batches
from app.config import Config
from app.ledger.database import Database, StoreUnavailable
from app.ledger.ledger import Ledger
from app.ledger.price_list import PriceList
from app.ledger.reports import Reports
from app.lifecycle import Lifecycle
from app.openai_service import OpenAIBatches, OpenAIService
from app.prompts import Prompt
from app.rate_limits import RateLimiter
from app.schemas.named_schemas import NamedSchemas
from app.schemas.prompting import SystemPrompts
from app.server_tools import OfferedTools, Toolbox
from app.shared_state import SharedCache, SharedState
from app.stream_slots import StreamSlots
from app.token_counts import TokenCounts

_KEY = "gatehouse"


@dataclass(frozen=True, slots=True)
class Parts:
    """What the factory builds once for each process."""

    config: Config
    service: OpenAIService
    token_counts: TokenCounts
    prompts: SystemPrompts
    schemas: NamedSchemas
    toolbox: Toolbox
    slots: StreamSlots
    limiter: RateLimiter
    state: SharedState
    cache: SharedCache
    database: Database
    authenticator: Authenticator
    ledger: Ledger
    prices: PriceList
    openai_batches: OpenAIBatches
    batches: Batches
    lifecycle: Lifecycle = field(default_factory=Lifecycle)

    def start(self) -> None:
        """Begin what goes on beside the requests: a worker does, a command does not."""
        with suppress(StoreUnavailable):  # the first transaction tries it again
            self.database.migrate()
        self.ledger.start()
        self.token_counts.load()

    def close(self) -> None:
        """Let go of what outlives a request: the last thing that a process does."""
        self.service.close()
        self.ledger.close()
        self.state.close()
        self.cache.close()
        self.database.close()


def install(app: Flask, parts: Parts) -> None:
    app.extensions[_KEY] = parts


def config() -> Config:
    return _built().config


def openai_service() -> OpenAIService:
    return _built().service


def system_prompts() -> SystemPrompts:
    """Those that the caller of the current request may use: a token can be tied to one."""
    return _built().prompts.of(g.principal)


def server_tools() -> OfferedTools:
    """Those of the current request."""
    return _built().toolbox.offered_to(g.principal, g.request_id)


def kept_prompts() -> Mapping[str, Prompt]:
    return _built().prompts.kept


def rate_limiter() -> RateLimiter:
    return _built().limiter


def named_schemas() -> NamedSchemas:
    return _built().schemas


def token_counts() -> TokenCounts:
    return _built().token_counts


def stream_slots() -> StreamSlots:
    return _built().slots


def identify(request: Request) -> Principal:
    """Who a request comes from: see Authenticator."""
    return authenticator().identify(request)


def authenticator() -> Authenticator:
    return _built().authenticator


def ledger() -> Ledger:
    return _built().ledger


def database() -> Database:
    return _built().database


def reports() -> Reports:
    return Reports(_built().database)


def prices() -> PriceList:
    return _built().prices


def openai_batches() -> OpenAIBatches:
    return _built().openai_batches


def batches() -> Batches:
    return _built().batches


def lifecycle() -> Lifecycle:
    return _built().lifecycle


def _built() -> Parts:
    built: Parts = current_app.extensions[_KEY]
    return built
