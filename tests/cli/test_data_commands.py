"""`flask backup`, `restore` and `db`: what the operator reads, and the exit status."""

from __future__ import annotations

import pytest

from app.storage.database.migrate import find_newest_revision


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

    assert f"to {find_newest_revision()}" in run("db", "upgrade").output
    assert "is up to date" in run("db", "upgrade").output
    checked = run("db", "check")
    assert (checked.exit_code, "No problems found" in checked.output) == (0, True)


def test_tables_of_a_newer_version_are_told_and_are_no_fault(run, database):
    database.migrate()
    with database.transaction() as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    checked = run("db", "check")

    assert checked.exit_code == 0
    assert "newer version" in checked.output


def test_holds_of_nobody_are_a_fault(run, database):
    database.migrate()
    with database.transaction() as connection:
        connection.execute("INSERT INTO accounts (key, period, held_tokens) VALUES ('a', 'b', 5)")

    checked = run("db", "check")

    assert checked.exit_code == 1
    assert "1 accounts hold what no entry holds" in checked.output


def test_a_backup_is_made_and_put_back(run, database, tmp_path):
    database.migrate()
    made = run("backup", tmp_path / "copy")
    assert made.exit_code == 0, made.output
    assert "intact" in made.output
    assert "not overwritten" in run("backup", tmp_path / "copy").output
    refused = run("restore", tmp_path / "copy")
    assert (refused.exit_code, "stop it first" in refused.output) == (1, True)

    database.close()
    done = run("restore", tmp_path / "copy")
    assert done.exit_code == 0, done.output
    assert "The old database is now" in done.output
    assert "not a file" in run("restore", tmp_path / "nothing").output


def test_copies_are_named_by_their_time_and_so_many_are_kept(run, database, tmp_path, monkeypatch):
    database.migrate()
    folder = tmp_path / "backups"
    folder.mkdir()
    others = {"notes.txt", "gatehouse-20260101T000000Z.dump", "gatehouse-before.sqlite3"}
    for name in others:
        (folder / name).touch()
    for number in range(4):
        monkeypatch.setattr("app.storage.database.dated_copies.clock.now", lambda at=number: 1_796_083_200 + at)
        made = run("backup", "--into", folder, "--keep", 2)
        assert made.exit_code == 0, made.output

    assert "deleted, because there are 2 newer copies" in made.output
    assert {each.name for each in folder.iterdir()} - others == {
        "gatehouse-20261201T000002Z.sqlite3",
        "gatehouse-20261201T000003Z.sqlite3",
    }
    assert others < {each.name for each in folder.iterdir()}
    assert run("backup", "--into", folder, "--keep", 2).exit_code == 1, "there is one of this second"
    assert len(list(folder.iterdir())) == 5, "and no other is deleted for one that was not made"


@pytest.mark.parametrize(
    "words",
    [(), ("x", "--into", "."), ("x", "--keep", "3"), ("--into", "/nowhere"), ("--into", ".", "--keep", "0")],
)
def test_a_backup_to_no_place_or_to_two_is_refused(run, words):
    assert run("backup", *words).exit_code == 2


def test_what_waits_and_what_was_given_up_is_shown(make_app, tmp_path):
    app = make_app(
        database_url=f"sqlite:///{tmp_path}/ledger.sqlite3",
        usage_webhook_url="http://127.0.0.1:9/usage",
        usage_webhook_secret="whsec_" + "a" * 32,
    )
    runner = app.test_cli_runner()
    assert "The outbox is empty" in runner.invoke(args=["outbox"]).output
    app.test_client().post("/api/chat", json={"message": "Hi"})

    (head, row) = runner.invoke(args=["outbox"]).output.splitlines()
    assert head.split() == ["TARGET", "OLDEST", "WAITING", "FAILED", "GIVEN", "UP"]
    assert row.split()[0] == "webhook"
    assert row.split()[-3:] == ["1", "0", "0"]
    delivered = runner.invoke(args=["outbox", "deliver"])
    assert delivered.output == "webhook: 0 delivered, 1 to be sent again, 0 given up.\n"
    assert runner.invoke(args=["outbox"]).output.splitlines()[1].split()[-3:] == ["1", "1", "0"]
    with app.extensions["gatehouse"].database.transaction() as connection:
        connection.execute("UPDATE outbox SET due_at = NULL")
    assert "given up after 1 attempts: no answer (ConnectError)" in runner.invoke(args=["outbox"]).output
    assert runner.invoke(args=["outbox", "retry"]).output == "1 entries will be sent again.\n"


def test_a_delivery_to_nobody_is_told(run):
    refused = run("outbox", "deliver")

    assert (refused.exit_code, "Neither USAGE_WEBHOOK_URL nor" in refused.output) == (1, True)


def test_nothing_old_is_told(run):
    assert run("prune").output == "No row is old enough to be deleted.\n"
