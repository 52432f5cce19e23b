"""When a process that was told to stop takes nothing new, and when what runs in it has to end."""

from __future__ import annotations

import pytest

from app.runtime.lifecycle import Lifecycle


class Process:
    """A process and its clock, both moved by hand."""

    def __init__(self) -> None:
        self.is_alive = True
        self.now_s = 1000.0

    def watched(self, *, graceful_timeout_s: float) -> Lifecycle:
        lifecycle = Lifecycle()
        lifecycle.watch(lambda: self.is_alive, graceful_timeout_s=graceful_timeout_s)
        return lifecycle


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Process:
    process = Process()
    monkeypatch.setattr("app.runtime.lifecycle.monotonic", lambda: process.now_s)
    return process


def test_what_nobody_watches_goes_on_for_ever() -> None:
    lifecycle = Lifecycle()
    assert not lifecycle.is_draining
    assert not lifecycle.must_end


def test_a_process_that_was_not_told_to_stop_goes_on(process: Process) -> None:
    lifecycle = process.watched(graceful_timeout_s=75)
    process.now_s += 1_000_000
    assert not lifecycle.is_draining
    assert not lifecycle.must_end


def test_told_to_stop_it_drains_at_once_and_ends_nothing_yet(process: Process) -> None:
    lifecycle = process.watched(graceful_timeout_s=75)
    process.is_alive = False
    assert lifecycle.is_draining
    assert not lifecycle.must_end


@pytest.mark.parametrize(("graceful_timeout_s", "ends_after_s"), [(75, 69), (15, 9), (6, 3)])
def test_what_runs_ends_before_the_kill_with_time_for_its_last_words(
    process: Process, graceful_timeout_s: float, ends_after_s: float
) -> None:
    lifecycle = process.watched(graceful_timeout_s=graceful_timeout_s)
    process.is_alive = False
    assert not lifecycle.must_end
    process.now_s += ends_after_s - 0.01
    assert not lifecycle.must_end
    process.now_s += 0.02
    assert lifecycle.must_end


def test_seen_late_by_a_tick_it_still_ends_before_the_kill(process: Process) -> None:
    lifecycle = process.watched(graceful_timeout_s=6)
    process.is_alive = False
    told_at_s = process.now_s
    process.now_s += 1
    while not lifecycle.must_end:
        process.now_s += 0.1
    assert process.now_s - told_at_s <= 6 - 6 / 3 + 0.1


def test_without_time_to_drain_everything_ends_at_once(process: Process) -> None:
    lifecycle = process.watched(graceful_timeout_s=0)
    process.is_alive = False
    assert lifecycle.must_end


def test_time_runs_from_the_first_sight(process: Process) -> None:
    lifecycle = process.watched(graceful_timeout_s=75)
    process.is_alive = False
    for _ in range(69):
        assert lifecycle.is_draining
        assert not lifecycle.must_end
        process.now_s += 1
    assert lifecycle.must_end


def test_what_others_have_taken_over_is_refused_only_when_time_is_up(process: Process) -> None:
    lifecycle = Lifecycle()
    lifecycle.watch(lambda: process.is_alive, graceful_timeout_s=75, is_last=lambda: False)
    assert not lifecycle.is_refusing
    process.is_alive = False
    assert lifecycle.is_draining
    assert not lifecycle.is_refusing
    process.now_s += 69.01
    assert lifecycle.is_refusing


def test_what_nobody_takes_is_refused_at_once(process: Process) -> None:
    lifecycle = process.watched(graceful_timeout_s=75)
    process.is_alive = False
    assert lifecycle.is_refusing
