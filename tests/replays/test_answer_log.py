"""What keeping a stream costs the store, and how soon others find what was sent."""

from __future__ import annotations

import pytest

from app.replays import AnswerLog, AnswerReader
from app.runtime.store_guard import DatabaseUnavailable
from app.shared_state import open_records
from tests.fakes.redis_server import redis_server


@pytest.fixture(params=["sqlite", "redis"])
def records(request, tmp_path):
    if request.param == "sqlite":
        opened = open_records(directory=tmp_path, redis_url="")
        yield opened
        opened.close()
        return
    with redis_server(tmp_path) as server:
        opened = open_records(directory=tmp_path, redis_url=server.url)
        yield opened
        opened.close()


class Counted:
    """Records that count the writes, and fail while they are away."""

    def __init__(self, records):
        self._records = records
        self.writes = 0
        self.is_away = False

    def write_many(self, values):
        if self.is_away:
            raise DatabaseUnavailable("away")
        self.writes += 1
        self._records.write_many(values)


def read(records):
    reader = AnswerReader(records, "a")
    return reader.read_new(reader.read_head())


def test_a_stream_that_nobody_follows_is_written_once_a_second(records, clock):
    counted = Counted(records)
    log = AnswerLog(counted, "u", "a", keep_s=60)
    log.append(b"first")
    log.open(200, [])
    for _ in range(100):
        log.append(b"x" * 50)
        clock.move(0.02)

    assert read(records).startswith(b"first")
    assert counted.writes <= 4
    log.finish("complete")
    assert read(records) == b"first" + b"x" * 5_000


def test_whoever_follows_gets_what_waited_at_once_and_the_rest_soon(records, clock):
    log = AnswerLog(records, "u", "a", keep_s=60)
    log.open(200, [])
    log.append(b"one ")
    log.append(b"two ")
    assert read(records) == b"one two "[:4]

    AnswerReader(records, "a").note_presence()
    assert log.read_signs() == (False, True)
    log.follow(is_followed=True)
    log.append(b"three ")
    assert read(records) == b"one two three "
    log.append(b"four")
    clock.move(0.1)
    log.append(b"!")
    assert read(records) == b"one two three four!"


def test_what_could_not_be_written_is_written_later(records, clock):
    counted = Counted(records)
    log = AnswerLog(counted, "u", "a", keep_s=60)
    log.open(200, [])
    log.append(b"one ")
    log.append(b"two ")
    counted.is_away = True
    with pytest.raises(DatabaseUnavailable):
        log.renew()
    counted.is_away = False
    log.renew()

    assert read(records) == b"one two "
