"""`flask backup`, `restore` and `db`: what the operator reads, and the exit status."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from app.database.migrate import find_newest_revision


@pytest.fixture
def app(make_app, tmp_path):
    return make_app(database_url=f"sqlite:///{tmp_path}/own/ledger.sqlite3")


@pytest.fixture
def database(app):
    return app.extensions["gatehouse"].database


@pytest.fixture
def run(app):
    runner = app.test_cli_runner()
    return lambda *words: runner.invoke(args=[str(word) for word in words])


def test_the_tables_are_told_and_brought_up_to_date(run, database):
    missing = run("db", "check")
    assert missing.exit_code == 1
    assert "revision none" in missing.output
    assert "Pending: 0001_ledger" in missing.output
    assert not database.driver.path.exists(), "to check makes nothing"

    assert f"now {find_newest_revision()}" in run("db", "upgrade").output
    assert "is up to date" in run("db", "upgrade").output
    checked = run("db", "check")
    assert (checked.exit_code, "All is well" in checked.output) == (0, True)


def test_tables_of_a_newer_version_are_told_and_are_no_fault(run, database):
    database.migrate()
    with database.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    checked = run("db", "check")

    assert checked.exit_code == 0
    assert "newer version" in checked.output


def test_holds_of_nobody_are_a_fault(run, database):
    database.migrate()
    with database.transaction() as connection:
        connection.execute(text("INSERT INTO accounts (key, period, held_tokens) VALUES ('a', 'b', 5)"))

    checked = run("db", "check")

    assert checked.exit_code == 1
    assert "1 accounts hold what no entry holds" in checked.output


def test_a_backup_is_made_and_put_back(run, database, tmp_path):
    database.migrate()
    made = run("backup", tmp_path / "copy")
    assert made.exit_code == 0, made.output
    assert "whole" in made.output
    assert "not overwritten" in run("backup", tmp_path / "copy").output
    refused = run("restore", tmp_path / "copy")
    assert (refused.exit_code, "stop it first" in refused.output) == (1, True)

    database.close()
    done = run("restore", tmp_path / "copy")
    assert done.exit_code == 0, done.output
    assert "What was there is now" in done.output
    assert "no file" in run("restore", tmp_path / "nothing").output
