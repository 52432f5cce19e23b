"""Write settlements to disk that are not in the database when a process ends, and replay them later."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import orjson

from app.billing.ledger.records import Settlement
from app.runtime import clock

PendingSettlement = tuple[str, Settlement]
"""An entry's id and its settlement."""

log = logging.getLogger("app.ledger")


class Journal:
    """A folder of JSON Lines files. Each is written once, and removed when all of it is in the database.

    Several processes may replay the same file, as settling twice changes nothing.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, pending: Iterable[PendingSettlement]) -> None:
        """Write settlements to a new file, and wait until it is on disk.

        Raises:
            OSError: the file could not be written.
        """
        lines = [orjson.dumps({"id": entry_id, **asdict(settlement)}) for entry_id, settlement in pending]
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._directory / f"{clock.now_ms():013d}-{secrets.token_hex(4)}.jsonl"
        partial = path.with_suffix(".partial")
        with os.fdopen(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(b"\n".join(lines) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
        directory = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def count(self) -> int:
        """Return the number of settlements in the files."""
        lines = 0
        for path in self._directory.glob("*.jsonl"):
            with suppress(FileNotFoundError):  # another process has replayed it
                lines += path.read_bytes().count(b"\n")
        return lines

    def replay(self, settle: Callable[[str, Settlement], None]) -> None:
        """Settle the entries of the files, oldest first. An error of `settle` is raised, and its file stays."""
        for path in sorted(self._directory.glob("*.jsonl")):
            try:
                lines = path.read_bytes().splitlines()
            except FileNotFoundError:
                continue  # another process has replayed it
            for line in lines:
                values = orjson.loads(line)
                settle(values.pop("id"), Settlement(**values))
            path.unlink(missing_ok=True)
            log.info("ledger.replayed", extra={"entries": len(lines)})
