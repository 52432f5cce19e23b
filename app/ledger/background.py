"""BackgroundSettler: what the ledger does in the background of each process."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from app.ledger.journal import Journal, PendingSettlement
from app.ledger.records import Settlement
from app.runtime import clock
from app.runtime.store_guard import DatabaseUnavailable

_MAX_PENDING = 10_000
_ROUND_S = 1.0
_SWEEP_S = 30.0

log = logging.getLogger("app.ledger")


class BackgroundSettler:
    """Settles what the store could not take, in the order in which it came. What is too much goes to the journal."""

    def __init__(
        self,
        *,
        settle: Callable[[str, Settlement], None],
        sweep: Callable[[], int],
        checkpoint: Callable[[], None],
        journal: Journal,
    ) -> None:
        self._settle = settle
        self._sweep = sweep
        self._checkpoint = checkpoint
        self._journal = journal
        self._pending: deque[PendingSettlement] = deque()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, entry_id: str, settlement: Settlement) -> None:
        with self._lock:
            self._pending.append((entry_id, settlement))
            surplus = [self._pending.popleft() for _ in range(_MAX_PENDING // 2)] if self._is_full else []
        if surplus:
            self._write(surplus)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
            self._thread = None
        try:
            self._settle_pending()
            self._checkpoint()
        except Exception as error:
            log.warning("ledger.closed_early", extra={"reason": str(error), "entries": len(self._pending)})
        with self._lock:
            rest = list(self._pending)
            self._pending.clear()
        if rest:
            self._write(rest)

    def retry(self) -> None:
        """Raises DatabaseUnavailable."""
        self._settle_pending()
        self._journal.replay(self._settle)

    @property
    def _is_full(self) -> bool:
        return len(self._pending) > _MAX_PENDING

    def _run(self) -> None:
        sweep_at = clock.ticks()
        while True:
            try:
                self._settle_pending()
                if clock.ticks() >= sweep_at:
                    self._journal.replay(self._settle)
                    self._sweep()
                    sweep_at = clock.ticks() + _SWEEP_S
                self._checkpoint()
            except DatabaseUnavailable:
                pass  # the guard has told it
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
                # The sweep settles what cannot be written down as it is.
                log.exception("ledger.settle_failed", extra={"entry_id": entry_id})
            with self._lock:
                if self._pending and self._pending[0][0] == entry_id:
                    self._pending.popleft()

    def _write(self, pending: list[PendingSettlement]) -> None:
        try:
            self._journal.write(pending)
        except OSError as error:
            # The sweep will settle them at the whole of their holds.
            reason = type(error).__name__
            log.exception("ledger.journal_failed", extra={"reason": reason, "entries": len(pending)})
