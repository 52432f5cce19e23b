"""Send the due entries to each target, several at once, until none is due or the target accepts none."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from app.billing.outbox.queue import Due, OutboxQueue
from app.billing.outbox.targets import DeliveryFailed, Target
from app.runtime import clock

# A round takes at most 50 / 8 × 10 s, if the target never answers. That is well within the lease.
_BATCH_SIZE = 50
_THREADS = 8

log = logging.getLogger("app.billing.outbox")


@dataclass(slots=True)
class DeliveryResult:
    """How many entries a target has accepted, will be sent again, and will not be sent again."""

    accepted: int = 0
    failed: int = 0
    given_up: int = 0


def deliver(queue: OutboxQueue, target: Target) -> DeliveryResult:
    """Send all due entries to one target.

    Several processes may deliver at once, and each may be killed at any time. The entries that it had taken from the
    queue are sent again after the queue's lease.

    Raises:
        DatabaseUnavailable: the rest is sent the next time.
    """
    result = DeliveryResult()
    with ThreadPoolExecutor(_THREADS) as threads:
        while dues := queue.take(target.name, _BATCH_SIZE):
            failures = list(threads.map(lambda due: _send(target, due), dues))
            accepted = [due.entry["id"] for due, failure in zip(dues, failures, strict=True) if failure is None]
            if accepted:
                queue.remove(target.name, accepted)
            for due, failure in zip(dues, failures, strict=True):
                if failure is None:
                    continue
                if queue.put_back(target.name, due, str(failure), is_final=failure.is_final):
                    result.given_up += 1
                    log.error(
                        "outbox.given_up",
                        extra={"target": target.name, "entry_id": due.entry["id"], "reason": str(failure)},
                    )
                else:
                    result.failed += 1
            result.accepted += len(accepted)
            if not accepted:
                break
    return result


def _send(target: Target, due: Due) -> DeliveryFailed | None:
    """Send an entry. Return the error if the target did not accept it."""
    if target.dedup_window_s is not None and clock.now_ms() - due.first_sent_at > target.dedup_window_s * 1000:
        return DeliveryFailed(
            "an attempt a day ago may have been accepted. Check the target before you send it again: it might be "
            "counted twice",
            is_final=True,
        )
    try:
        target.send(due.entry)
    except DeliveryFailed as failure:
        return failure
    return None
