"""How to get what the factory built."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from flask import Flask, Request, current_app

from app.auth import Authenticator, Principal
from app.config import Config
from app.ledger.database import Database, StoreUnavailable
from app.ledger.ledger import Ledger
from app.ledger.price_list import PriceList
from app.ledger.reports import Reports
from app.lifecycle import Lifecycle
from app.openai_service import OpenAIService
from app.rate_limits import RateLimiter
from app.schemas.prompting import SystemPrompts
from app.shared_state import SharedState
from app.stream_slots import StreamSlots

_KEY = "gatehouse"


@dataclass(frozen=True, slots=True)
class Parts:
    """What the factory builds once for each process."""

    config: Config
    service: OpenAIService
    prompts: SystemPrompts
    slots: StreamSlots
    limiter: RateLimiter
    state: SharedState
    database: Database
    authenticator: Authenticator
    ledger: Ledger
    prices: PriceList
    lifecycle: Lifecycle = field(default_factory=Lifecycle)

    def start(self) -> None:
        """Begin what goes on beside the requests: a worker does, a command does not."""
        with suppress(StoreUnavailable):  # the first transaction tries it again
            self.database.migrate()
        self.ledger.start()

    def close(self) -> None:
        """Let go of what outlives a request: the last thing that a process does."""
        self.service.close()
        self.ledger.close()
        self.state.close()
        self.database.close()


def install(app: Flask, parts: Parts) -> None:
    app.extensions[_KEY] = parts


def config() -> Config:
    return _built().config


def openai_service() -> OpenAIService:
    return _built().service


def system_prompts() -> SystemPrompts:
    return _built().prompts


def rate_limiter() -> RateLimiter:
    return _built().limiter


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


def lifecycle() -> Lifecycle:
    return _built().lifecycle


def _built() -> Parts:
    built: Parts = current_app.extensions[_KEY]
    return built
