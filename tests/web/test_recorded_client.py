"""How soon a stream that is kept notices that its owner has stopped it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from app.web.replays import recording
from app.web.replays.recording import RECORDED_TICK_S, RecordedClient, StreamStopped


@pytest.fixture
def now(monkeypatch):
    clock = SimpleNamespace(s=100.0)
    monkeypatch.setattr(recording, "time", SimpleNamespace(monotonic=lambda: clock.s))
    return clock


class Log:
    """What other workers may read and write of an answer."""

    is_stopped = False
    renewals = 0

    def renew(self):
        self.renewals += 1

    def read_signs(self):
        return self.is_stopped, False

    def follow(self, *, is_followed):
        pass


def test_a_stop_is_noticed_at_the_next_check(now):
    log = Log()
    connection, lifecycle = SimpleNamespace(check=lambda: None), SimpleNamespace(must_end=False)
    client = RecordedClient(connection, log, linger_s=2.0, has_name=False, lifecycle=lifecycle)
    for _ in range(10):
        client.check()
        now.s += RECORDED_TICK_S

    assert log.renewals == 4, "its life is shown once a second"
    log.is_stopped = True
    with pytest.raises(StreamStopped):
        client.check()


@pytest.mark.parametrize(("resumable", "tick_s"), [(True, RECORDED_TICK_S), (False, 0.0)])
def test_only_what_can_be_stopped_is_checked_so_often(records, client, resumable, tick_s):
    _ = client.post("/api/chat/stream", json={"message": "Hi", "resumable": resumable}).data

    assert records[-1].caller.tick_s == tick_s
    assert RECORDED_TICK_S * 2 < 1.0, "a check may just have been missed"
