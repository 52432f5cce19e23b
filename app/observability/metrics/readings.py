"""Read gauges from the stores at a scrape. It takes bounded time, also if a store is unavailable."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from app.billing.ledger.backlog import Backlog, count_backlogs
from app.billing.ledger.ledger import Ledger
from app.billing.ledger.reports import Reports
from app.config import Config
from app.openai_service import OpenAIService
from app.runtime import clock
from app.runtime.log_throttle import LogThrottle
from app.runtime.side_process import SideProcessPool
from app.storage.database.database import Contended, Database, DatabaseUnavailable
from app.storage.shared_state import SharedState

_TIMEOUT_S = 4.0
"""How long a scrape waits for all stores. Each of them has a shorter time limit."""

_NOTHING = Backlog(target="", waiting=0, failed=0, given_up=0, oldest_at=None)
_CIRCUIT_STATES = ("closed", "half_open", "open", "open_for_one_caller")

log = logging.getLogger(__name__)
_throttle = LogThrottle()


class SharedBudgets(Protocol):
    """The budgets in dollars of accounts that several users share."""

    def has_shared_budgets(self) -> bool:
        """Return whether there are such budgets."""

    def find_shared_budget(self, account: str) -> int | None:
        """Return the budget of an account in micro-dollars; None if it has none."""


class Sources(Protocol):
    """The services of a process that metrics are read from."""

    @property
    def config(self) -> Config:
        """The settings."""

    @property
    def database(self) -> Database:
        """The database."""

    @property
    def shared_state(self) -> SharedState:
        """The state that all workers share."""

    @property
    def ledger(self) -> Ledger:
        """The ledger."""

    @property
    def reports(self) -> Reports:
        """The ledger's reports."""

    @property
    def limits(self) -> SharedBudgets:
        """The limits of accounts."""

    @property
    def openai_service(self) -> OpenAIService:
        """The service."""

    @property
    def image_processes(self) -> SideProcessPool:
        """The side processes that read images."""

    @property
    def document_processes(self) -> SideProcessPool:
        """The side processes that read files."""


@dataclass(slots=True)
class _Reading:
    """The results of one reading so far."""

    seconds: dict[str, float] = field(default_factory=dict)
    families: list[Metric] = field(default_factory=list)


class Readings:
    """Reads the stores in a background thread, one reading at a time."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._lock = threading.Lock()
        self._reading = _Reading()
        self._thread: threading.Thread | None = None

    def collect(self) -> list[Metric]:
        """Return what was read within the time limit. A store that has not answered by then counts as not up."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._reading = _Reading()
                self._thread = threading.Thread(target=self._run, args=(self._reading,), daemon=True)
                self._thread.start()
            thread, reading = self._thread, self._reading
        thread.join(_TIMEOUT_S)
        up = _gauge("store_up", "Whether a store answers", "store")
        seconds = _gauge("store_latency_seconds", "How long a store took to answer", "store")
        for store in ("database", "shared_state"):
            up.add_metric([store], float(store in reading.seconds))
            if store in reading.seconds:
                seconds.add_metric([store], reading.seconds[store])
        limit = _gauge("streams_limit", "Maximum of concurrent streams")
        limit.add_metric([], self._sources.config.max_concurrent_streams)
        return [up, seconds, limit, *reading.families]

    def _run(self, reading: _Reading) -> None:
        sources = self._sources
        self._try(lambda: reading.families.append(self._read_journal()))
        if self._check(reading, "shared_state", sources.shared_state.check):
            self._try(lambda: reading.families.append(self._read_circuits()))
        if self._check(reading, "database", sources.database.check):
            self._try(lambda: reading.families.append(self._read_holds()))
            self._try(lambda: reading.families.extend(self._read_backlogs()))
            if sources.limits.has_shared_budgets():
                self._try(lambda: reading.families.extend(self._read_budgets()))

    def _check(self, reading: _Reading, store: str, check: Callable[[], None]) -> bool:
        started = time.perf_counter()

        def check_store() -> None:
            with suppress(Contended):  # others are using it, so it is up
                check()
            reading.seconds[store] = time.perf_counter() - started

        self._try(check_store)
        return store in reading.seconds

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except DatabaseUnavailable:
            pass  # StoreGuard has logged it
        except Exception:
            if _throttle.allows("metrics"):
                log.exception("metrics.reading_failed")

    def _read_journal(self) -> Metric:
        family = _gauge("journal_settlements", "Settlements in the journal on disk")
        family.add_metric([], self._sources.ledger.count_journaled())
        return family

    def _read_circuits(self) -> Metric:
        family = _gauge(
            "breaker_state", "1 for the state that a model's circuit is in", "operation", "model", "state"
        )
        for (operation, model), found in self._sources.openai_service.read_circuits().items():
            for state in _CIRCUIT_STATES:
                family.add_metric([operation, model, state], float(state == found))
        return family

    def _read_holds(self) -> Metric:
        family = _gauge("holds", "Requests whose cost is held and not settled")
        family.add_metric([], self._sources.reports.count_holds())
        return family

    def _read_backlogs(self) -> list[Metric]:
        waiting = _gauge("outbox_waiting", "Entries that are not delivered to a system yet", "target")
        failed = _gauge("outbox_failed", "Waiting entries whose last attempt failed", "target")
        given_up = _gauge("outbox_given_up", "Entries that are not sent again", "target")
        oldest = _gauge("outbox_oldest_seconds", "Time since the oldest waiting entry was settled", "target")
        found = {backlog.target: backlog for backlog in count_backlogs(self._sources.database)}
        for target in sorted({*self._sources.ledger.outbox_targets, *found}):
            backlog = found.get(target, _NOTHING)
            waiting.add_metric([target], backlog.waiting)
            failed.add_metric([target], backlog.failed)
            given_up.add_metric([target], backlog.given_up)
            oldest_at = backlog.oldest_at
            seconds = 0.0 if oldest_at is None else max(0.0, (clock.now_ms() - oldest_at) / 1000)
            oldest.add_metric([target], seconds)
        return [waiting, failed, given_up, oldest]

    def _read_budgets(self) -> list[Metric]:
        sources = self._sources
        spent = _gauge("budget_spent_dollars", "Spent or held in this window", "account")
        limit = _gauge("budget_limit_dollars", "The budget of a window", "account")
        left = _gauge("budget_window_left_seconds", "Until the next window begins")
        accounts, seconds_left = sources.reports.find_spending(
            "day" if sources.config.budget_window == "day" else "month"
        )
        for account, micro_usd in accounts.items():
            budget = sources.limits.find_shared_budget(account)
            if budget is not None:
                spent.add_metric([account], micro_usd / 1_000_000)
                limit.add_metric([account], budget / 1_000_000)
        left.add_metric([], seconds_left)
        return [spent, limit, left]


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"gatehouse_{name}", text, labels=labels)
