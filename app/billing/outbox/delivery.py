"""Send what is due to each system, several entries at once, until nothing is due or the system takes nothing."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from app.billing.outbox.queue import Due, OutboxQueue
from app.billing.outbox.targets import NotTaken, Target
from app.runtime import clock

# A round of a system that never answers takes 50 / 8 × 10 s, well within the lease.
_AT_ONCE = 50
_THREADS = 8

log = logging.getLogger("app.billing.outbox")


@dataclass(slots=True)
class Delivered:
    """How many entries a system has taken, has not taken yet, and will not be sent again."""

    taken: int = 0
    failed: int = 0
    given_up: int = 0


def deliver(queue: OutboxQueue, target: Target) -> Delivered:
    """Send all that is due to one system.

    Several processes may do it at once, and each may be killed at any time: what it had taken from the queue is sent
    again after the queue's lease.

    Raises:
        DatabaseUnavailable: the rest is sent the next time.
    """
    result = Delivered()
    with ThreadPoolExecutor(_THREADS) as threads:
        while dues := queue.take(target.name, _AT_ONCE):
            faults = list(threads.map(lambda due: _send(target, due), dues))
            taken = [due.entry["id"] for due, fault in zip(dues, faults, strict=True) if fault is None]
            if taken:
                queue.remove(target.name, taken)
            for due, fault in zip(dues, faults, strict=True):
                if fault is None:
                    continue
                if queue.put_back(target.name, due, str(fault), is_final=fault.is_final):
                    result.given_up += 1
                    log.error(
                        "outbox.given_up",
                        extra={"target": target.name, "entry_id": due.entry["id"], "reason": str(fault)},
                    )
                else:
                    result.failed += 1
            result.taken += len(taken)
            if not taken:
                break
    return result


def _send(target: Target, due: Due) -> NotTaken | None:
    """Send an entry; return why it was not taken."""
    if target.remembers_s is not None and clock.now_ms() - due.first_sent_at > target.remembers_s * 1000:
        return NotTaken(
            "an attempt of a day ago may have been taken: look it up, as it would be counted twice", is_final=True
        )
    try:
        target.send(due.entry)
    except NotTaken as fault:
        return fault
    return None
