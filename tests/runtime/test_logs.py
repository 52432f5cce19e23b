"""The lines of the log: one an event, whatever its values are."""

from __future__ import annotations

import logging
import os

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.config import Config, ConfigError
from app.runtime.logs import lines
from app.runtime.logs.events import log_event
from app.runtime.logs.lines import JsonFormatter, LineFormatter
from app.runtime.logs.setup import make_handler
from tests.fakes.generated import generated

BOTH = pytest.mark.parametrize("formatter", [LineFormatter(), JsonFormatter()])


def line(at: float = 1795176000.25, formatter: logging.Formatter | None = None, **values: object) -> str:
    record = logging.makeLogRecord({"name": "app.call", "levelname": "INFO", "msg": "call", **values})
    record.created = at
    return (formatter or LineFormatter()).format(record)


def failing(text: str) -> tuple:
    try:
        raise ValueError(text)
    except ValueError as error:
        return type(error), error, error.__traceback__


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


def test_a_line_of_json_has_the_same_fields() -> None:
    text = line(formatter=JsonFormatter(), model='a b"c\n', attempts=1, total_ms=12.5, is_cached=True, code=None)
    assert orjson.loads(text) == {
        "time": "2026-11-20T12:00:00.250Z",
        "level": "INFO",
        "event": "call",
        "model": 'a b"c\n',
        "attempts": 1,
        "total_ms": 12.5,
        "is_cached": True,
    }


@BOTH
@pytest.mark.parametrize("value", ["half \ud800 a letter", {"a": 1}, b"\xff", "x" * 100_000, "", "a\r\n\u2028b"])
def test_any_value_is_one_line_of_bounded_length(formatter, value) -> None:
    text = line(formatter=formatter, value=value, other=1)
    assert len(text.splitlines()) == 1
    assert len(text) < 3000
    text.encode()
    if isinstance(formatter, JsonFormatter):
        assert orjson.loads(text)["other"] == 1


@BOTH
def test_an_exception_is_its_class_and_its_place_in_one_line(formatter) -> None:
    text = line(formatter=formatter, exc_info=failing("canary\nwords"))
    assert "ValueError" in text
    assert "test_logs.py:" in text
    assert "canary" not in text
    assert len(text.splitlines()) == 1


def test_what_another_package_says_is_a_field_of_its_name() -> None:
    text = line(name="gunicorn.error", msg="Worker (pid:%s)\nwas sent %s!", args=(7, "SIGKILL"))
    assert text.endswith(' INFO gunicorn message="Worker (pid:7) was sent SIGKILL!"')


def test_an_event_with_its_fields(caplog) -> None:
    logger = logging.getLogger("an.other")
    caplog.set_level(logging.INFO)
    log_event(logger, "request", {"route": "/api/chat", "code": None, "status": 200})

    (record,) = caplog.records
    assert LineFormatter().format(record).endswith("Z INFO request route=/api/chat status=200")
    assert (record.route, record.code, record.levelno) == ("/api/chat", None, logging.INFO)


@pytest.mark.parametrize(
    ("priorities", "journal", "expected"),
    [("auto", "8:123", "<3>"), ("auto", "", ""), ("always", "", "<3>"), ("never", "8:123", "")],
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_lines_begin_with_their_priority_for_the_journal(monkeypatch, form, priorities, journal, expected) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", journal)
    monkeypatch.setattr(os, "isatty", lambda _: False)
    settings = Config(openai_api_key="sk-x", log_format=form, log_priorities=priorities).logs

    text = make_handler(settings).format(logging.makeLogRecord({"levelname": "ERROR", "msg": "a.fault"}))
    assert text[: len(expected)] == expected
    assert text[len(expected)] in "{2"


def test_the_format_is_one_of_two() -> None:
    with pytest.raises(ConfigError, match="LOG_FORMAT"):
        Config(openai_api_key="sk-x", log_format="xml")


_values = st.one_of(
    st.text(max_size=6),
    st.text(st.sampled_from('ab=" \t\x00\x7f\x85é\u2028'), max_size=4),
    st.sampled_from(["", " ", "x" * 490, "x" * 498, "x" * 500, "x" * 501, "a=b", '"']),
    st.integers(),
    st.floats(),
    st.booleans(),
)


@generated(cases=100, quickly=25)
@given(fields=st.dictionaries(st.sampled_from(["a", "route", "of"]), _values, max_size=3))
@example(fields={})
@example(fields={"a": "", "of": "b"})
def test_line_is_the_same_however_its_fields_are_checked(fields: dict[str, object]) -> None:
    pairs = [f"{name}={lines._format_value(value)}" for name, value in fields.items()]
    expected = " ".join(["now", "INFO", "event", *pairs])
    assert LineFormatter()._write("now", "INFO", "event", fields) == expected
