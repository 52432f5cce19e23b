"""What a killed worker leaves behind of its calls, and what the sweep charges by it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.ledger import call_notes
from app.ledger.call_notes import CallNotes
from server import death_notice

ENTRY = "0" * 23 + "a"
WRITER = f"""
import os, sys, time
from app.ledger.call_notes import CallNotes
notes = CallNotes()
note = notes.begin({ENTRY!r})
at = time.monotonic()
exec(sys.argv[1])
print(os.getpid(), at, flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    monkeypatch.setattr(call_notes, "_RAM_DISK", tmp_path)
    monkeypatch.setattr(death_notice, "_RAM_DISK", tmp_path)
    return call_notes.find_directory()


@pytest.fixture
def killed(tmp_path, directory):
    """The charge of a call whose process was killed after these statements, and found dead some time after them."""

    def run(statements="", dies_after_s=None):
        source = (
            f"from pathlib import Path; import app.ledger.call_notes as c; c._RAM_DISK = Path({str(tmp_path)!r})"
        )
        with subprocess.Popen(
            [sys.executable, "-c", source + WRITER, statements], stdout=subprocess.PIPE, text=True
        ) as writer:
            pid, at = writer.stdout.readline().split()
            os.kill(writer.pid, signal.SIGKILL)
        if dies_after_s is not None:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(time, "monotonic", lambda: float(at) + dies_after_s)
                death_notice.note_death(int(pid))
        name = call_notes.name_worker().rpartition(":")[0]
        found = CallNotes().find(ENTRY, f"{name}:{pid}")
        return found and found.charge

    return run


def test_what_was_not_sent_costs_nothing(killed):
    assert killed() == (0, 0)


def test_what_was_settled_has_no_note(killed):
    assert killed(f"notes.end({ENTRY!r})") is None


@pytest.mark.parametrize(("charge", "found"), [((700, 40), (700, 40)), ((None, 40), (None, 40))])
def test_a_known_charge_is_found(killed, charge, found):
    assert killed(f"note.set_charge(*{charge})") == found


STREAM = "note.set_charge(100, 10); note.begin_stream((50, 5), 2.0, 4000, at);"


@pytest.mark.parametrize(
    ("steps", "dies_after_s", "written"),
    [
        (STREAM, 0.95, 2000),  # it may have thought all the time
        (STREAM, 9.0, 4000),  # but not beyond its ceiling
        (STREAM + "note.set_received(300, at + 0.5, at + 0.9)", 0.95, 300 + 2000 * 0.6),
        (STREAM + "note.set_received(200, at + 0.5, at + 2.5)", 2.55, 200 + 400 * 0.6),  # at four times its pace
    ],
)
def test_a_stream_costs_what_it_can_have_written_until_its_process_died(killed, steps, dies_after_s, written):
    micro_usd, tokens = killed(steps, dies_after_s)

    assert tokens == pytest.approx(15 + written, abs=2)
    assert micro_usd == pytest.approx(150 + 2 * written, abs=4)


def test_a_death_that_nobody_noted_was_at_most_so_much_later(killed):
    _, tokens = killed(STREAM + "notes.stay_alive()")

    assert tokens == 15 + 4000


def test_the_parent_finds_the_notes_where_they_are(killed, directory):
    killed("", 1.0)

    [path] = directory.glob("*")
    assert path.read_bytes()[8:16] != bytes(8)


def test_as_many_calls_as_there_is_room_for_have_a_note(monkeypatch):
    monkeypatch.setattr(call_notes, "_SLOTS", 2)
    notes = CallNotes()

    assert notes.begin("a" * 24)
    assert notes.begin("b" * 24)
    assert notes.begin("c" * 24) is None
    notes.end("a" * 24)
    assert notes.begin("d" * 24)


def test_a_folder_that_cannot_be_used_costs_accuracy_only(monkeypatch, caplog):
    monkeypatch.setattr(call_notes, "_RAM_DISK", Path("/proc"))
    notes = CallNotes()

    assert notes.begin(ENTRY) is None
    assert notes.begin(ENTRY) is None
    assert caplog.text.count("ledger.no_notes") == 1


def test_a_process_that_ends_well_leaves_no_file(directory):
    notes = CallNotes()
    notes.begin(ENTRY)
    notes.end(ENTRY)
    assert len(list(directory.glob("*"))) == 1

    del notes

    assert list(directory.glob("*")) == []
