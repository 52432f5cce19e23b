"""How soon a stream that is kept notices that its owner has stopped it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from app.storage.shared_state.replays.signals import Signals
from app.web.replays import client as recorded_client
from app.web.replays.client import RECORDED_TICK_S, RecordedClient, StreamStopped


@pytest.fixture
def now(monkeypatch):
    clock = SimpleNamespace(s=100.0)
    monkeypatch.setattr(recorded_client, "time", SimpleNamespace(monotonic=lambda: clock.s))
    return clock


class Log:
    """What other workers may read of an answer."""

    renewals = 0

    def renew(self):
        self.renewals += 1

    def follow(self, *, is_followed):
        pass


def test_a_stop_is_noticed_at_the_next_check(now):
    log, left = Log(), [Signals(is_stopped=False, is_followed=False)]
    signals = SimpleNamespace(read=lambda: left[-1])
    connection, lifecycle = SimpleNamespace(check=lambda: None), SimpleNamespace(must_end=False)
    client = RecordedClient(connection, log, signals, linger_s=2.0, can_return=False, lifecycle=lifecycle)
    for _ in range(10):
        client.check()
        now.s += RECORDED_TICK_S

    assert log.renewals == 10, "the log decides which of them to write"
    left.append(Signals(is_stopped=True, is_followed=False))
    with pytest.raises(StreamStopped):
        client.check()


@pytest.mark.parametrize(("resumable", "tick_s"), [(True, RECORDED_TICK_S), (False, 0.0)])
def test_only_what_can_be_stopped_is_checked_so_often(records, client, resumable, tick_s):
    _ = client.post("/api/chat/stream", json={"message": "Hi", "resumable": resumable}).data

    assert records[-1].caller.tick_s == tick_s
    assert RECORDED_TICK_S * 2 < 1.0, "a check may just have been missed"
    assert 2 + RECORDED_TICK_S * 2 <= 2.5, "a left stream ends within 3 s, on a busy machine too"
