"""SharedRecords: several values that are written at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.shared_state import open_records


@pytest.fixture
def open_one(place, clock):
    """Opens the records; each that it opens counts as a process."""
    opened = []

    def make():
        opened.append(open_records(directory=Path(place[0]), redis_url=place[1]))
        return opened[-1]

    yield make
    for records in opened:
        records.close()


def test_what_is_written_at_once_is_read_by_other_processes(open_one):
    records, others = open_one(), open_one()
    records.write("a", b"old", ttl_s=60)
    values = {"a": b"1", "b": b"", "c": bytes(range(256)) * 64}

    records.write_all(values, ttl_s=60)

    assert others.read_many(["c", "a", "b", "d"]) == values
    assert [others.read(key) for key in values] == list(values.values())
