"""Manage the files in which workers count: prometheus-client's multiprocess mode, without two of its weaknesses.

prometheus-client sums the files of all workers, including dead ones, so each restart adds files. Here the files of dead
workers are merged into one. Its files are sparse, so on a full disk a write kills the worker by SIGBUS. Here the
files are fully written before the worker counts anything.
"""

from __future__ import annotations

import fcntl
import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

_KINDS = ("counter", "histogram", "gauge_livesum")
_BYTES = 1 << 20
# private API: the parts of prometheus-client's own collector; they have no types.
_sum_up: Any = MultiProcessCollector.merge
_open_file: Any = MmapedDict
_read_values: Any = MmapedDict.read_all_values_from_file
_DEAD = 0
"""Stands for all ended processes, in place of the process id in a file's name."""


class WorkerFiles:
    """The files of one server. gunicorn.conf.py empties the folder when the server starts."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def allocate(self) -> None:
        """Create the files of this process. Raises OSError if the disk is full."""
        for kind in _KINDS:
            path = self._name(kind, os.getpid())
            if not path.exists():
                _write_zeros(path)

    def read(self) -> list[Metric]:
        """Return the sums over workers: counters of all since the server started, gauges of the running ones."""
        with self._lock():
            self._merge_dead()
            # A file that is being created is empty for a moment.
            files = [str(path) for path in self._directory.glob("*.db") if path.stat().st_size]
            return list(_sum_up(files))

    def _merge_dead(self) -> None:
        dead = defaultdict(list)
        for path in self._directory.glob("*.db"):
            kind, _, process = path.stem.rpartition("_")
            if int(process) != _DEAD and not _is_alive(int(process)):
                dead[kind].append(path)
        for kind, paths in dead.items():
            if not kind.startswith("gauge"):
                try:
                    self._merge(self._name(kind, _DEAD), paths)
                except OSError:
                    continue  # the disk is full: they are read without being merged
            for path in paths:
                path.unlink()

    def _merge(self, target: Path, paths: list[Path]) -> None:
        sums: defaultdict[str, float] = defaultdict(float)
        for path in [target, *paths]:
            if path.exists() and path.stat().st_size:
                for key, value, *_ in _read_values(str(path)):
                    sums[key] += value
        partial = target.with_suffix(".partial")
        _write_zeros(partial)
        merged = _open_file(str(partial))
        for key, value in sums.items():
            merged.write_value(key, value, 0.0)
        merged.close()
        partial.rename(target)

    def _name(self, kind: str, process: int) -> Path:
        return self._directory / f"{kind}_{process}.db"

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Exclude other scrapes: during a merge, they would count a worker twice."""
        with (self._directory / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _write_zeros(path: Path) -> None:
    """Write a file of zeros; if it cannot be completed, remove it."""
    try:
        path.write_bytes(bytes(_BYTES))
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
