"""What a killed worker leaves behind of its calls, and what the sweep charges by it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.billing.ledger import call_notes, observed_use
from app.billing.ledger.call_notes import CallNotes
from server.arbiter import death_notice

ROOT = Path(__file__).parents[3]
ENTRY = "0" * 23 + "a"
WRITERS = f"""
import json, os, sys, time, types
from pathlib import Path
sys.modules["app"] = types.ModuleType("app")  # app/__init__.py imports everything
sys.modules["app"].__path__ = ["app"]
import app.billing.ledger.call_notes as c

for line in sys.stdin:
    folder, statements = json.loads(line)
    if writer := os.fork():
        os.waitpid(writer, 0)
        print("ended", flush=True)
        continue
    c._RAM_DISK = Path(folder)
    notes = c.CallNotes(c._RAM_DISK)
    note = notes.begin({ENTRY!r})
    kind = notes._observed.get('k')
    at = time.monotonic()
    exec(statements)
    print(os.getpid(), at, flush=True)
    time.sleep(60)
"""
"""Forks a process for each line: to load the application in each would take longer than all tests do."""


def open_notes():
    return CallNotes(call_notes._RAM_DISK)


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    monkeypatch.setattr(call_notes, "_RAM_DISK", tmp_path)
    monkeypatch.setattr(death_notice, "_RAM_DISK", tmp_path)
    return call_notes.find_directory()


@pytest.fixture(scope="module")
def writers():
    with subprocess.Popen(
        [sys.executable, "-c", WRITERS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def killed(writers, tmp_path, directory):
    """The charge of a call whose process was killed after these statements, and found dead some time after them."""

    def run(statements="", dies_after_s=None):
        print(json.dumps([str(tmp_path), statements]), file=writers.stdin, flush=True)
        pid, at = writers.stdout.readline().split()
        os.kill(int(pid), signal.SIGKILL)
        assert writers.stdout.readline() == "ended\n"
        if dies_after_s is not None:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(time, "monotonic", lambda: float(at) + dies_after_s)
                death_notice.note_death(int(pid))
        name = call_notes.name_worker().rpartition(":")[0]
        found = open_notes().find(ENTRY, f"{name}:{pid}")
        return found and found.charge

    return run


def test_what_was_not_sent_costs_nothing(killed):
    assert killed() == (0, 0)


def test_what_was_settled_has_no_note(killed):
    assert killed(f"notes.end({ENTRY!r})") is None


@pytest.mark.parametrize(("charge", "found"), [((700, 40), (700, 40)), ((None, 40), (None, 40))])
def test_a_known_charge_is_found(killed, charge, found):
    assert killed(f"note.set_charge(*{charge})") == found


STREAM = "note.set_charge(100, 10); note.begin_answer('k', (50, 5), 2.0, 4000, at);"


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


IN_ONE_PIECE = STREAM.replace(", at)", ", None)")
SEEN = "[kind.add(200 + number, 0.4) for number in range({answers})];"


@pytest.mark.parametrize(
    ("steps", "tokens"),
    [
        (IN_ONE_PIECE, 10 + 5 + 4000),  # it is written to its end
        (SEEN.format(answers=99) + IN_ONE_PIECE, 10 + 5 + 4000),
        (SEEN.format(answers=101) + IN_ONE_PIECE, 10 + 2.2 + 330),
        (SEEN.format(answers=101) + STREAM, 10 + 2.2 + 330),
        (SEEN.format(answers=101) + STREAM + "note.set_received(900, at + 0.5, at + 2.5)", 10 + 2.2 + 900),
        (SEEN.format(answers=101) + IN_ONE_PIECE.replace("'k'", "'o'"), 10 + 5 + 4000),
    ],
)
def test_an_answer_costs_no_more_than_its_kind_has_used_once_enough_are_known(killed, steps, tokens):
    assert killed(steps, 5.0)[1] == pytest.approx(tokens, abs=1)


STREAMS_SEEN = SEEN.replace("0.4)", "0.4, (200 + number, {seconds}))")


@pytest.mark.parametrize(
    ("seen", "steps", "written"),
    [
        # What is hidden at most, which is nothing, and what its pace allows since something came, or it was sent.
        (
            STREAMS_SEEN.format(answers=101, seconds=3.0),
            "note.set_received(50, at + 0.5, at + 0.9)",
            50 + 110 * 0.15,
        ),
        (STREAMS_SEEN.format(answers=101, seconds=3.0), "", 110 * 1.05),
        # Too few, or too short to tell their pace: it may have thought all the time.
        (STREAMS_SEEN.format(answers=99, seconds=3.0), "", 2000 * 1.05),
        (STREAMS_SEEN.format(answers=101, seconds=0.4), "", 330),
    ],
)
def test_a_stream_costs_what_its_kind_can_have_written_in_the_silence(killed, seen, steps, written):
    assert killed(seen + STREAM + steps, 1.0)[1] - 12 == pytest.approx(written, abs=4)


@pytest.mark.parametrize(
    ("of_text", "received", "written"),
    [
        # 200 tokens, of whose text the estimate was 250: it is four fifths of what the estimate says.
        ("200, 0.4, (250, 3.0)", 100.5, 80.4),
        # The largest part that any stream had, and never more than all.
        ("200 + number % 2 * 25, 0.4, (250, 3.0)", 100, 90),
        ("200, 0.4, (180, 3.0)", 100, 100 + 20 * 1.1),
        # Reasoning is no text, whether the estimate of the text hides it or not.
        ("200, 0.4, (250, 3.0), 50", 100, 60 + 50 * 1.1),
        ("250, 0.4, (250, 3.0), 50", 100, 80 + 50 * 1.1),
    ],
)
def test_what_has_come_of_a_stream_counts_as_its_kind_was_billed(killed, of_text, received, written):
    seen = f"[kind.add({of_text}) for number in range(100)];"

    _, tokens = killed(seen + STREAM + f"note.set_received({received}, at + 0.5, at + 0.9)", 0.95)

    assert tokens - 12 == pytest.approx(written + 0.1 * 1.1 * 250 / 3, abs=4)


@pytest.mark.parametrize(("answers", "bound"), [(100, 1100), (200, 1050), (1000, 1010)])
def test_the_more_answers_are_known_the_less_is_left_to_see(killed, answers, bound):
    _, tokens = killed(f"[kind.add(1000, 0.0) for _ in range({answers})];" + IN_ONE_PIECE)

    assert tokens - 10 == pytest.approx(bound, abs=1)


def test_notes_of_another_form_are_not_read(killed, directory):
    assert killed("note.set_charge(700, 40)") == (700, 40)
    (path,) = directory.glob("*")
    worker = path.name.rpartition("-")[0]  # a host's name may have dashes of its own
    assert open_notes().find(ENTRY, worker) is not None
    path.rename(path.with_suffix(""))

    assert open_notes().find(ENTRY, worker) is None


def test_reasoning_that_streams_of_its_kind_had_is_what_one_may_have(killed):
    seen = "[kind.add(900, 0.4, (300, 9.0)) for _ in range(100)];"

    _, tokens = killed(seen + STREAM + "note.set_received(50, at + 0.5, at + 0.9)", 0.95)

    assert tokens == pytest.approx(12 + 50 + 660, abs=12)


def test_what_killed_and_living_processes_have_seen_counts_together(killed):
    notes = open_notes()
    note = notes.begin("c" * 24)
    note.begin_answer("k", (50, 5), 2.0, 4000, None)
    for _ in range(60):
        note.observe(700, 1.0)

    assert killed(SEEN.format(answers=40) + IN_ONE_PIECE)[1] == pytest.approx(10 + 5 + 770, abs=1)


def test_a_death_that_nobody_noted_was_at_most_so_much_later(killed):
    _, tokens = killed(STREAM + "notes.stay_alive()")

    assert tokens == 15 + 4000


def test_the_parent_finds_the_notes_where_they_are(killed, directory):
    killed("", 1.0)

    [path] = directory.glob("*")
    assert path.read_bytes()[8:16] != bytes(8)


def test_as_many_calls_as_there_is_room_for_have_a_note(monkeypatch):
    monkeypatch.setattr(call_notes, "_SLOTS", 2)
    notes = open_notes()

    assert notes.begin("a" * 24)
    assert notes.begin("b" * 24)
    assert notes.begin("c" * 24) is None
    notes.end("a" * 24)
    assert notes.begin("d" * 24)


def test_a_folder_that_cannot_be_used_costs_accuracy_only(monkeypatch, caplog):
    monkeypatch.setattr(call_notes, "_RAM_DISK", Path("/proc"))
    notes = open_notes()

    assert notes.begin(ENTRY) is None
    assert notes.begin(ENTRY) is None
    assert caplog.text.count("ledger.no_notes") == 1


def test_what_processes_have_seen_that_ended_well_counts_too(killed):
    for number in range(3):
        notes = open_notes()
        for kind in ("k", f"other {number}"):
            note = notes.begin(ENTRY)
            note.begin_answer(kind, (50, 5), 2.0, 4000, None)
            for _ in range(30):
                note.observe(600 + number, 1.0)
            notes.end(ENTRY)
        notes.close()

    assert killed(SEEN.format(answers=9) + IN_ONE_PIECE)[1] == 10 + 5 + 4000
    assert killed(SEEN.format(answers=10) + IN_ONE_PIECE)[1] == pytest.approx(10 + 5 + 602 * (1 + 10 / 109), abs=1)
    assert killed(IN_ONE_PIECE.replace("'k'", "'other 1'"))[1] == 10 + 5 + 4000


def test_of_many_kinds_those_are_kept_that_are_known_best(tmp_path):
    for first in (0, 40):
        notes = open_notes()
        for number in range(first, first + 40):
            seen = notes.begin(ENTRY) and notes._observed.get(str(number))
            for _ in range(1 + number % 40):
                seen.add(100, 1.0)
            notes.end(ENTRY)
        notes.close()

    kept = observed_use.read_saved_use(tmp_path)
    counts = [observed_use._KIND.unpack_from(kept, at)[1] for at in range(0, len(kept), observed_use._KIND.size)]
    assert counts == sorted([1 + number % 40 for number in range(80)], reverse=True)[:56]


@pytest.mark.parametrize("kept", [b"", b"x" * 100, b"x" * 10_000])
def test_a_broken_file_of_what_was_seen_costs_accuracy_only(killed, tmp_path, kept):
    (tmp_path / observed_use._SAVED_FILE).write_bytes(kept)

    assert killed(IN_ONE_PIECE)[1] == 10 + 5 + 4000


def test_a_process_that_ends_well_leaves_no_file(directory):
    notes = open_notes()
    notes.begin(ENTRY)
    notes.end(ENTRY)
    assert len(list(directory.glob("*"))) == 1

    del notes

    assert list(directory.glob("*")) == []
