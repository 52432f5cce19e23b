"""Sample this process once a second, for gauges whose changes are not reported."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_INTERVAL_S = 1.0

log = logging.getLogger(__name__)


class Sampler:
    """Calls a function once a second, in a thread."""

    def __init__(self, sample: Callable[[], None]) -> None:
        self._sample = sample
        self._stop = threading.Event()

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="metrics", daemon=True).start()

    def close(self) -> None:
        """Stop the thread."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(_INTERVAL_S):
            try:
                self._sample()
            except Exception:
                log.exception("metrics.sample_failed")
                return
