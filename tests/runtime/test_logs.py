"""The lines of the log: one an event, whatever its values are."""

from __future__ import annotations

import logging

from app.runtime.logs import LineFormatter


def line(at: float = 1795176000.25, **values: object) -> str:
    record = logging.makeLogRecord({"name": "app.call", "levelname": "INFO", "msg": "call", **values})
    record.created, record.msecs = at, at % 1 * 1000
    return LineFormatter().format(record)


def test_values_of_each_kind() -> None:
    assert line(model="gpt", attempts=1, total_ms=12.5, is_cached=True, tool_calls=None) == (
        "2026-11-20T12:00:00.250Z INFO call model=gpt attempts=1 total_ms=12.5 is_cached=True"
    )


def test_no_value_passes_for_another_one_or_for_a_line() -> None:
    assert line(model='a b"c', code="x\n2026 ERROR y", empty="") == (
        '2026-11-20T12:00:00.250Z INFO call model="a b\'c" code="x?2026 ERROR y" empty=""'
    )


def test_time_goes_on() -> None:
    lines = [line(at=1795176000 + seconds) for seconds in (0.5, 0.75, 1.5, 0.5)]
    assert [each.partition(" ")[0] for each in lines] == [
        "2026-11-20T12:00:00.500Z",
        "2026-11-20T12:00:00.750Z",
        "2026-11-20T12:00:01.500Z",
        "2026-11-20T12:00:00.500Z",
    ]
