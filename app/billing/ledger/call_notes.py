"""Record the progress of each running call in memory that outlives its process, for the sweep of killed processes.

Each process maps a file on a RAM disk into its memory. Writing a note copies a few bytes, without a system call, and
the bytes stay when the process is killed. They are lost when the machine stops, and other machines cannot read them:
the sweep charges the full hold of a call without a note.
"""

from __future__ import annotations

import logging
import mmap
import os
import secrets
import socket
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from struct import Struct

from app.billing.ledger.observed_use import (
    TABLE_SIZE,
    KindMaxima,
    LikelyMaxima,
    ObservedUse,
    find_likely_maxima,
    read_saved_use,
    save_use,
)
from app.models.token_counts.estimates import NOTICES_CLOSE_S, bound_unseen
from app.runtime import process

_RAM_DISK = Path("/dev/shm")  # noqa: S108  # notes are in a private folder of this user
_HOST = socket.gethostname()
_SLOTS = 4096
_UNPRICED = -1
# The version of the format, as the end of a file's name: during an upgrade, processes of several versions run.
_FORM = ".2"
# Instead of the time it was sent: an answer in one piece is generated to its end, even if its reader dies.
_IN_ONE_PIECE = -1.0
_MAX_AGE_S = 2 * 86_400
# If the time of a process's death is unknown, it is at most this long after its last sign of life.
_MAX_SILENT_S = 2.0

# The last sign of life of the process; the time it was found dead, which server/arbiter/death_notice.py writes.
_HEAD = Struct("<dd")
_ALIVE = Struct("<d")
# The entry's id; the charge so far, in micro-dollars and tokens. Of an answer in progress: the maximum cost of its
# input in micro-dollars and tokens, micro-dollars per output token, the maximum of these, the time it was sent; the
# tokens received, the times of the first and the last of them; the digest of its kind.
_SLOT = Struct("<24sqqqqdqdddd16s")
_NOTE, _NOTE_AT = Struct("<qqqqdqdddd"), 24
_ANSWER, _ANSWER_AT = Struct("<qqdqdddd16s"), 40
_RECEIVED, _RECEIVED_AT = Struct("<ddd"), 80
# What the call has reserved outside of the ledger, in the format of the code that reserved it.
_RESERVED_AT, _MAX_RESERVED = _SLOT.size, 1024
_SLOT_SIZE = _RESERVED_AT + _MAX_RESERVED
_EMPTY = bytes(_SLOT_SIZE)
_SLOTS_AT = _HEAD.size + TABLE_SIZE

log = logging.getLogger("app.ledger")

Charge = tuple[int | None, int]
"""Micro-dollars, None if the price is unknown, and tokens."""


@dataclass(frozen=True, slots=True)
class FoundNote:
    """The note of a call whose process is dead.

    Attributes:
        charge: the maximum that the call can have cost.
        reserved: what the call has reserved outside of the ledger.
    """

    charge: Charge
    reserved: bytes


def find_directory() -> Path:
    """Return the folder of this system user's notes."""
    return (_RAM_DISK if _RAM_DISK.is_dir() else Path(tempfile.gettempdir())) / f"gatehouse-{os.getuid()}"


def name_worker() -> str:
    """Return the name of this process in the ledger: host and process id."""
    return f"{_HOST}:{process.pid}"


class CallNote:
    """The note of one call."""

    def __init__(self, memory: mmap.mmap, at: int, observed: ObservedUse) -> None:
        self._memory = memory
        self._observed = observed
        self._maxima: KindMaxima | None = None
        self.at = at

    def begin(self, entry_id: str) -> None:
        """Record that a call is admitted and has sent nothing yet."""
        _SLOT.pack_into(self._memory, self.at, entry_id.encode(), 0, 0, 0, 0, 0.0, 0, 0.0, 0.0, 0.0, 0.0, b"")

    def set_charge(self, micro_usd: int | None, tokens: int) -> None:
        """Set the charge so far: what the call costs if it makes no further attempt."""
        usd = _UNPRICED if micro_usd is None else micro_usd
        _NOTE.pack_into(self._memory, self.at + _NOTE_AT, usd, tokens, 0, 0, 0.0, 0, 0.0, 0.0, 0.0, 0.0)

    def begin_answer(
        self, kind: str, of_input: Charge, micro_usd_per_token: float, ceiling: int, sent_at: float | None
    ) -> None:
        """Record that an answer was requested, in addition to the charge so far.

        Args:
            kind: groups answers of similar use, by model and so on.
            of_input: the maximum cost of its input.
            micro_usd_per_token: the price of its output.
            ceiling: its maximum number of output tokens.
            sent_at: when it was requested; None if it is not streamed.
        """
        self._maxima = maxima = self._observed.get(kind)
        usd, tokens = of_input
        at = _IN_ONE_PIECE if sent_at is None else sent_at
        values = (usd or 0, tokens, micro_usd_per_token, ceiling, at, 0.0, 0.0, 0.0, maxima.digest)
        _ANSWER.pack_into(self._memory, self.at + _ANSWER_AT, *values)

    def observe(
        self, output_tokens: int, input_share: float, text: tuple[float, float] | None = None, reasoning: int = 0
    ) -> None:
        """Record what the requested answer has used; the arguments are those of KindMaxima.add()."""
        if self._maxima is not None:
            self._maxima.add(output_tokens, input_share, text, reasoning)

    def set_received(self, tokens: float, first_at: float, last_at: float) -> None:
        """Record the number of tokens received, and the times of the first and the last."""
        _RECEIVED.pack_into(self._memory, self.at + _RECEIVED_AT, tokens, first_at, last_at)

    def set_reserved(self, reserved: bytes) -> None:
        """Record what the call has reserved outside of the ledger, unless that is too long for the note."""
        if len(reserved) <= _MAX_RESERVED:
            at = self.at + _RESERVED_AT
            self._memory[at : at + _MAX_RESERVED] = reserved.ljust(_MAX_RESERVED, b"\0")

    def clear(self) -> None:
        """Remove the note: the call is settled."""
        self._memory[self.at : self.at + _SLOT_SIZE] = _EMPTY


class CallNotes:
    """The notes of this process, and those of dead processes."""

    def __init__(self, data_dir: Path) -> None:
        """Create them for the ledger in `data_dir`, where the observed use is saved when a process ends."""
        self._data_dir = data_dir.absolute()
        self._directory = find_directory()
        self._memory: mmap.mmap | None = None
        self._observed: ObservedUse | None = None
        self._free: list[int] = []
        self._notes: dict[str, CallNote] = {}
        self._lock = threading.Lock()
        self._is_unusable = False
        self._remove: Callable[[], object] | None = None

    def begin(self, entry_id: str) -> CallNote | None:
        """Return the note of a new call; None if there is no room, or the file could not be created."""
        memory = self._memory or self._open()
        try:
            at = self._free.pop()
        except IndexError:
            return None
        assert memory is not None and self._observed is not None
        note = self._notes[entry_id] = CallNote(memory, at, self._observed)
        note.begin(entry_id)
        return note

    def end(self, entry_id: str) -> None:
        """Remove the note of a call that is settled or was not admitted."""
        note = self._notes.pop(entry_id, None)
        if note is not None:
            note.clear()
            self._free.append(note.at)

    def stay_alive(self) -> None:
        """Record that this process is alive. The background thread calls it every second."""
        if self._memory is not None:
            _ALIVE.pack_into(self._memory, 0, time.monotonic())

    def find(self, entry_id: str, worker: str) -> FoundNote | None:
        """Return the note of a call of a dead process; None if there is none."""
        for path in self._directory.glob(f"{worker}-*{_FORM}"):
            try:
                content = path.read_bytes()
            except OSError:
                continue
            at = content.find(entry_id.encode(), _SLOTS_AT)
            if at >= 0:
                *values, kind = _SLOT.unpack_from(content, at)
                likely = find_likely_maxima(self._read_tables(), kind) if any(kind) else None
                charge = _compute_charge(values, _find_death(content), likely)
                reserved = content[at + _RESERVED_AT : at + _SLOT_SIZE].rstrip(b"\0")
                return FoundNote(charge, reserved)
        return None

    def _read_tables(self) -> Iterator[bytes]:
        """Yield the observed use of ended processes, and that of each process on this machine."""
        yield read_saved_use(self._data_dir)
        for path in self._directory.glob(f"{_HOST}:*{_FORM}"):
            with suppress(OSError), path.open("rb") as file:
                file.seek(_HEAD.size)
                yield file.read(TABLE_SIZE)

    def close(self) -> None:
        """Remove the file, unless it has notes of unsettled calls. It is also removed when the process exits."""
        if self._remove is not None:
            self._remove()

    def remove_old(self) -> None:
        """Remove files of processes that died long ago."""
        with os.scandir(self._directory) as files:
            for file in files:
                with suppress(OSError):  # another process has removed it
                    if time.time() - file.stat().st_mtime > _MAX_AGE_S:
                        Path(file).unlink()

    def _open(self) -> mmap.mmap | None:
        """Create and map the file of this process; return None if that fails."""
        with self._lock:
            if self._memory is not None or self._is_unusable:
                return self._memory
            path = self._directory / f"{name_worker()}-{secrets.token_hex(4)}{_FORM}"
            size = _SLOTS_AT + _SLOTS * _SLOT_SIZE
            try:
                self._directory.mkdir(mode=0o700, exist_ok=True)
                if self._directory.stat().st_uid != os.getuid():
                    raise PermissionError("the folder belongs to another user")
                self.remove_old()
                file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
                try:
                    os.truncate(file, size)
                    memory = mmap.mmap(file, size)
                finally:
                    os.close(file)
            except OSError as error:
                self._is_unusable = True
                log.warning("ledger.no_notes", extra={"reason": str(error)})
                return None
            self._free = [*range(_SLOTS_AT, size, _SLOT_SIZE)][::-1]
            self._observed = ObservedUse(memory, _HEAD.size, str(self._data_dir))
            self._memory = memory
            self._remove = weakref.finalize(self, _remove, path, self._notes, self._data_dir)
            self.stay_alive()
            return memory


def _remove(path: Path, unsettled: dict[str, CallNote], data_dir: Path) -> None:
    """Remove the file of a process that ends, unless the sweep needs it, and save its observed use."""
    if unsettled:
        return
    with suppress(OSError):
        with path.open("rb") as file:
            file.seek(_HEAD.size)
            save_use(data_dir, file.read(TABLE_SIZE))
        path.unlink()


def _find_death(content: bytes) -> float:
    """Return the latest time at which a dead process can have been alive."""
    alive_at, died_at = _HEAD.unpack_from(content, 0)
    return float(died_at or alive_at + _MAX_SILENT_S)


def _compute_charge(values: Sequence[float], died_at: float, likely: LikelyMaxima | None) -> Charge:
    """Return the charge so far, plus that of the answer that was in progress when the process died.

    A streamed answer ends with its process, so the time until then bounds its tokens. An answer in one piece is
    generated to its end. Both are also bounded by the use of earlier answers of their kind, and the estimate of the
    received tokens is corrected by the share that these answers really used.
    """
    _, usd, tokens, input_usd, input_tokens, usd_per_token, ceiling, sent_at, received, first_at, last_at = values
    written = 0.0
    if sent_at:
        written = ceiling
        if sent_at != _IN_ONE_PIECE:
            unseen: float = bound_unseen(sent_at, first_at or None, last_at, died_at, received)
            if likely is not None:
                received *= likely.text_share
                unseen = min(unseen, likely.bound_unseen(died_at + NOTICES_CLOSE_S - max(sent_at, last_at)))
            written = min(ceiling, received + unseen)
        if likely is not None:
            written = max(received, min(written, likely.output_tokens))
            input_usd, input_tokens = likely.input_share * input_usd, likely.input_share * input_tokens
    all_tokens = ceil(tokens + input_tokens + written)
    if usd == _UNPRICED:
        return None, all_tokens
    return ceil(usd + input_usd + written * usd_per_token), all_tokens
