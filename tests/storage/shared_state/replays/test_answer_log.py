"""What keeping a stream costs the store, and how soon others find what was sent."""

from __future__ import annotations

import pytest

from app.runtime.store_guard import DatabaseUnavailable
from app.storage.shared_state import open_records
from app.storage.shared_state.replays import AnswerLog, AnswerReader, AnswerStore
from app.storage.shared_state.replays.answer_log import ALIVE_S
from app.storage.shared_state.replays.signals import Signals
from tests.fakes.storage.redis_server import redis_server


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
    log = AnswerLog(counted, "u", "a", ttl_s=60)
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
    log = AnswerLog(records, "u", "a", ttl_s=60)
    log.open(200, [])
    log.append(b"one ")
    log.append(b"two ")
    assert read(records) == b"one two "[:4]

    AnswerReader(records, "a").note_presence()
    assert AnswerStore(records).watch(log).read() == Signals(is_stopped=False, is_followed=True)
    log.follow(is_followed=True)
    log.append(b"three ")
    assert read(records) == b"one two three "
    log.append(b"four")
    clock.move(0.1)
    log.append(b"!")
    assert read(records) == b"one two three four!"


def test_what_could_not_be_written_is_written_later(records, clock):
    counted = Counted(records)
    log = AnswerLog(counted, "u", "a", ttl_s=60)
    log.open(200, [])
    log.append(b"one ")
    log.append(b"two ")
    clock.move(1.0)
    counted.is_away = True
    with pytest.raises(DatabaseUnavailable):
        log.renew()
    counted.is_away = False
    log.renew()

    assert read(records) == b"one two "


def test_what_is_written_shows_that_its_writer_is_alive_and_a_silent_writer_shows_it_once_a_second(records, clock):
    counted = Counted(records)
    log = AnswerLog(counted, "u", "a", ttl_s=60)
    log.open(200, [])
    log.append(b"one ")
    for _ in range(10):
        clock.move(0.4)
        log.renew()

    assert counted.writes == 2 + 3  # after 1.2, 2.4 and 3.6 s
    clock.move(ALIVE_S - 1)
    log.append(b"two ")
    log.append(b"three ")
    clock.move(ALIVE_S - 1)
    assert AnswerReader(records, "a").is_written()
    log.renew()
    assert read(records) == b"one two three "


def test_what_is_held_is_written_when_it_is_time_and_not_before(records, clock):
    log = AnswerLog(records, "u", "a", ttl_s=60)
    log.open(200, [])
    assert log.hold(b"one ")
    log.flush()

    assert not log.hold(b"two ")
    clock.move(0.9)
    assert not log.hold(b"three ")
    assert read(records) == b"one "
    clock.move(0.1)
    assert log.hold(b"four ")
    log.flush()
    assert read(records) == b"one two three four "
    assert log.hold(b"x" * 16 * 1024), "a second has not passed, but it is a lot"


def test_what_is_held_beyond_the_bound_is_dropped(records, clock):
    log = AnswerLog(records, "u", "a", ttl_s=60, max_bytes=10)
    log.open(200, [])
    assert log.hold(b"x" * 10)
    log.flush()
    assert log.hold(b"x")
    log.flush()

    assert not log.is_running
    assert not log.stored_bytes
    assert not log.hold(b"x")


@pytest.mark.parametrize(
    "sent", [[b"data: 1\n\n"], [b"data: 1\n\ndata: 2\n\n", b"data: 3\n\n"], [b"", b"event: a\ndata: 1\n\n"]]
)
def test_each_event_has_the_next_number_however_many_come_at_once(records, sent):
    log = AnswerLog(records, "u", "a", ttl_s=60, is_numbered=True)
    log.open(200, [])
    numbered = b"".join(map(log.number, sent))

    events = b"".join(sent).split(b"\n\n")[:-1]
    assert numbered == b"".join(b"id: %d\n%b\n\n" % (at, event) for at, event in enumerate(events, 1))
    log.append(numbered)
    head = AnswerReader(records, "a").read_head()
    assert head.events == len(events)
