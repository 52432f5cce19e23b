"""Retry settlements, sweep expired holds, roll up totals and checkpoint the database, in a thread of each process."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from app.billing.ledger.journal import Journal, PendingSettlement
from app.billing.ledger.records import Settlement
from app.runtime import clock
from app.runtime.store_guard import DatabaseUnavailable
from app.storage.database.database import Database

_MAX_PENDING = 10_000
_ROUND_S = 1.0
_SWEEP_S = 30.0
# How often an idle worker checks whether the database is available.
_CHECK_S = 5.0

log = logging.getLogger("app.ledger")


class BackgroundSettler:
    """Settles what could not be settled before, oldest first; what exceeds _MAX_PENDING goes to the journal."""

    def __init__(
        self,
        *,
        settle: Callable[[str, Settlement], None],
        sweep: Callable[[], int],
        roll_up: Callable[[], int],
        database: Database,
        journal: Journal,
        stay_alive: Callable[[], None],
    ) -> None:
        self._settle = settle
        self._sweep = sweep
        self._roll_up = roll_up
        self._database = database
        self._journal = journal
        self._stay_alive = stay_alive
        self._pending: deque[PendingSettlement] = deque()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, entry_id: str, settlement: Settlement) -> None:
        """Queue a settlement. If the queue is full, move its older half to the journal."""
        with self._lock:
            self._pending.append((entry_id, settlement))
            surplus = [self._pending.popleft() for _ in range(_MAX_PENDING // 2)] if self._is_full else []
        if surplus:
            self._write(surplus)

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the thread. Settle the queue, or write it to the journal."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
            self._thread = None
        try:
            self._settle_pending()
            self._database.checkpoint()
        except Exception as error:
            log.warning("ledger.closed_early", extra={"reason": str(error), "entries": len(self._pending)})
        with self._lock:
            rest = list(self._pending)
            self._pending.clear()
        if rest:
            self._write(rest)

    def retry(self) -> None:
        """Settle the queue and the journal.

        Raises:
            DatabaseUnavailable: the rest stays pending.
        """
        self._settle_pending()
        self._journal.replay(self._settle)

    def count_pending(self) -> int:
        """Return the number of settlements in the queue."""
        return len(self._pending)

    @property
    def _is_full(self) -> bool:
        return len(self._pending) > _MAX_PENDING

    def _run(self) -> None:
        check_at = sweep_at = clock.ticks()
        while True:
            self._stay_alive()
            try:
                if clock.ticks() >= check_at:
                    self._database.probe()
                    check_at = clock.ticks() + _CHECK_S
                self._settle_pending()
                # After an outage, other workers may still settle their queues: the sweep waits for them.
                if clock.ticks() >= sweep_at and self._database.is_steady:
                    self._journal.replay(self._settle)
                    self._sweep()
                    sweep_at = clock.ticks() + _SWEEP_S
                    self._roll_up()
                self._database.checkpoint()
            except DatabaseUnavailable:
                pass  # StoreGuard has logged it
            except Exception:
                log.exception("ledger.round_failed")
            if self._stop.wait(_ROUND_S):
                return

    def _settle_pending(self) -> None:
        while self._pending:
            entry_id, settlement = self._pending[0]
            try:
                self._settle(entry_id, settlement)
            except DatabaseUnavailable:
                raise
            except Exception:
                # A bug in this settlement; the sweep will settle the entry.
                log.exception("ledger.settle_failed", extra={"entry_id": entry_id})
            with self._lock:
                if self._pending and self._pending[0][0] == entry_id:
                    self._pending.popleft()

    def _write(self, pending: list[PendingSettlement]) -> None:
        try:
            self._journal.write(pending)
        except OSError as error:
            # The sweep will settle these entries, at the full amount of their holds.
            reason = type(error).__name__
            log.exception("ledger.journal_failed", extra={"reason": reason, "entries": len(pending)})
