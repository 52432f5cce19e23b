"""One visitor leaves the others of a worker their time and memory: some hostile requests of each kind.

All are sent to one server. `make neighbours` sends these and all others, to servers of each kind.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.fakes.neighbour import MAX_SILENCE_S, Neighbour, neighbour
from tests.neighbours import test_neighbour_bodies as bodies
from tests.neighbours import test_neighbour_forms as forms
from tests.neighbours import test_neighbour_images as images
from tests.neighbours import test_neighbours as schemas


@pytest.fixture(scope="module")
def near() -> Iterator[Neighbour]:
    with neighbour(SECRET_KEY="s" * 40) as started:
        yield started


@pytest.mark.thorough
def test_a_worker_that_does_nothing_for_others_is_seen(near: Neighbour) -> None:
    [pid] = near.server.workers()
    with near.watch() as harm:
        for _ in range(3):  # one that begins while the worker waits for a processor is not counted
            os.kill(pid, signal.SIGSTOP)
            time.sleep(3 * MAX_SILENCE_S)
            os.kill(pid, signal.SIGCONT)
            time.sleep(3 * MAX_SILENCE_S)  # the worker notes its silence with its next beat

    assert harm.silence_s > 2 * MAX_SILENCE_S
    with pytest.raises(AssertionError):
        harm.assert_bearable()


@pytest.mark.parametrize("name", ["lists", "a data URL with escapes", "long text"])
def test_a_hostile_body(near: Neighbour, name: str) -> None:
    bodies.assert_harmless(near, name)


@pytest.mark.parametrize("name", ["percent signs", "lists as variables", "JSON with a boundary"])
def test_a_hostile_form(near: Neighbour, name: str) -> None:
    forms.assert_harmless(near, name)


def test_a_hostile_image(near: Neighbour) -> None:
    images.assert_harmless(near, "WebP of 28 bytes")


def test_a_full_body_of_images_that_is_streamed(near: Neighbour) -> None:
    images.stream_a_full_body(near)


@pytest.mark.parametrize(
    "name", ["folded ranges", "enum of objects", "nested anyOf", "many properties", "chain of references"]
)
@pytest.mark.parametrize("path", ["/api/structured", "/api/structured/stream"])
def test_a_hostile_schema(near: Neighbour, path: str, name: str) -> None:
    schemas.assert_harmless(near, path, name)


def test_many_large_vectors(near: Neighbour) -> None:
    near.upstream.body = b"".join(bodies.large_vectors(bodies.INPUTS))

    bodies.pass_vectors_on(near)
