"""Stopwatch: how long something took, however busy the machine is that runs the tests."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path


class Stopwatch:
    """Measures from when it is made.

    A bound on how long something may wait is to be held against `elapsed_s()`: a wait for a timeout counts there
    in full, whereas the time in which a thread of this process, or of one that it started, was ready to run and had no
    processor does not. Where several threads had none at once, each one's time is left out. `wall_s()` is what a clock on the wall says.
    """

    def __init__(self) -> None:
        self._queued_s = _queued_s()
        self._begun = time.monotonic()

    def wall_s(self) -> float:
        return time.monotonic() - self._begun

    def elapsed_s(self) -> float:
        wall_s = self.wall_s()
        queued_s = sum(max(0.0, at - self._queued_s.get(task, 0.0)) for task, at in _queued_s().items())
        return max(0.0, wall_s - queued_s)


def _queued_s() -> dict[str, float]:
    """Seconds that each thread has waited for a processor; nothing where no kernel tells.

    Source: https://docs.kernel.org/scheduler/sched-stats.html
    """
    queued = {}
    for task in _tasks(Path("/proc", str(os.getpid()))):
        try:
            queued[task.name] = int((task / "schedstat").read_text().split()[1]) / 1e9
        except OSError:  # the thread has ended
            continue
    return queued


def _tasks(process: Path) -> Iterator[Path]:
    """The threads of a process and of all that it has started."""
    try:
        tasks = [*(process / "task").iterdir()]
    except OSError:  # the process has ended
        return
    for task in tasks:
        yield task
        try:
            children = (task / "children").read_text().split()
        except OSError:
            continue
        for child in children:
            yield from _tasks(Path("/proc", child))
