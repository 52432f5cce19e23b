"""SharedCache: what is kept, and what it is like when it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.storage.shared_state import open_cache
from tests.fakes.stopwatch import Stopwatch
from tests.fakes.storage.stores import locked_file
from tests.storage.shared_state.conftest import age


@pytest.fixture
def open_one(place, clock):
    """Opens the cache; each that it opens counts as a process."""
    opened = []

    def make():
        opened.append(open_cache(directory=Path(place[0]), redis_url=place[1]))
        return opened[-1]

    yield make
    for cache in opened:
        cache.close()


def test_what_one_process_keeps_another_finds(open_one):
    values = {"a": b"1", "b": b"", "c": bytes(range(256)) * 400}
    open_one().write(values, ttl_s=60)

    assert open_one().read(["c", "nothing", "a", "b"]) == values


def test_more_than_are_read_at_once_are_found(open_one):
    values = {f"key-{number}": b"%d" % number for number in range(100)}
    open_one().write(values, ttl_s=60)

    assert open_one().read(list(values)) == values


def test_the_last_value_counts(open_one):
    cache = open_one()
    cache.write({"a": b"1"}, ttl_s=60)
    cache.write({"a": b"2"}, ttl_s=60)

    assert cache.read(["a"]) == {"a": b"2"}


def test_it_is_gone_after_its_time(open_one, clock, place, request):
    cache = open_one()
    cache.write({"short": b"1", "long": b"2"}, ttl_s=10)
    cache.write({"long": b"2"}, ttl_s=60)
    clock.move(11)
    if place[1]:
        age(request.getfixturevalue("redis_store").client, 11)

    assert cache.read(["short", "long"]) == {"long": b"2"}


def test_nothing_is_found_or_kept_while_the_store_is_away_and_nobody_waits_long(open_one, clock, place, request):
    cache = open_one()
    cache.write({"a": b"1"}, ttl_s=60)
    if place[1]:
        frozen = request.getfixturevalue("redis_store").frozen()
    else:
        cache.close()
        frozen = locked_file(Path(place[0]) / "cache.sqlite3")
    with frozen:
        watch = Stopwatch()
        for _ in range(50):
            assert cache.read(["a"]) == {}
            cache.write({"b": b"2"}, ttl_s=60)
        assert watch.elapsed_s() < 1.5
    clock.move(2)

    assert cache.read(["a", "b"]) == {"a": b"1"}


def test_it_is_no_part_of_the_shared_state(tmp_path):
    cache = open_cache(directory=tmp_path, redis_url="")
    cache.write({"a": b"1"}, ttl_s=60)
    cache.close()

    assert {file.name.partition("-")[0] for file in tmp_path.iterdir()} == {"cache.sqlite3"}
