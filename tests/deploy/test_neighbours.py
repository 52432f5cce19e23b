"""What one visitor sends leaves the others of its worker their time and memory."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.fakes.neighbour import MAX_SILENCE_S, Neighbour, neighbour


@pytest.fixture(scope="module")
def near() -> Iterator[Neighbour]:
    with neighbour() as started:
        yield started


def test_a_worker_that_does_nothing_for_others_is_seen(near: Neighbour) -> None:
    [pid] = near.server.workers()
    with near.watch() as harm:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(3 * MAX_SILENCE_S)
        os.kill(pid, signal.SIGCONT)

    assert harm.silence_s > 2 * MAX_SILENCE_S
    with pytest.raises(AssertionError):
        harm.assert_bearable()
