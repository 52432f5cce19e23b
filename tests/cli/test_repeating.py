"""Commands that work once or, with --watch, again and again, and what they do without a database."""

from __future__ import annotations

import click
import pytest

from app.cli import repeating
from app.storage.database.database import DatabaseUnavailable


class Waits(list):
    """Notes how long a command waits, and ends it at the third wait."""

    def __call__(self, seconds):
        self.append(seconds)
        if len(self) == 3:
            raise KeyboardInterrupt


@pytest.fixture
def waits(monkeypatch):
    noted = Waits()
    monkeypatch.setattr(repeating.time, "sleep", noted)
    return noted


def fail():
    raise DatabaseUnavailable("no space left", advice="make room")


def test_once_is_once(waits):
    done = []

    repeating.repeat(lambda: done.append(1), None)

    assert (done, waits) == ([1], [])


def test_a_database_that_is_away_ends_it_with_the_reason_and_what_to_do():
    with pytest.raises(click.ClickException) as ended:
        repeating.repeat(fail, None)

    assert ended.value.message == "The database of DATABASE_URL cannot be used (no space left): make room."


def test_with_watch_it_is_tried_again(waits):
    tried = []

    def work():
        tried.append(1)
        fail()

    with pytest.raises(KeyboardInterrupt):
        repeating.repeat(work, 7)

    assert (len(tried), waits) == (3, [7, 7, 7])


@pytest.mark.parametrize("command", [["batches", "list"], ["batches", "poll"], ["usage"], ["prune"]])
def test_each_command_says_so(make_app, tmp_path, command):
    (tmp_path / "file").write_text("")
    app = make_app(database_url=f"sqlite:///{tmp_path}/file/x.sqlite3")

    ended = app.test_cli_runner().invoke(args=command)

    assert ended.exit_code == 1
    assert "Error: The database of DATABASE_URL cannot be used (" in ended.output
