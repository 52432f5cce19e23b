"""The database itself: its URL, its transactions, its tables."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

import app.auth.audit.tables
import app.auth.tables
import app.batches.tables
import app.billing.ledger.tables
import app.limits.tables
import app.safety.tables  # noqa: F401
from app.runtime import clock
from app.storage.database.database import DatabaseUnavailable, open_database
from app.storage.database.metadata import metadata
from app.storage.database.migrate import NEW_SQLITE, SCRIPTS, find_newest_revision, migrate, read_revision
from app.storage.database.migrations.upgrade import upgrade, wrap_connection
from app.storage.database.sqlite_driver import SqliteDriver
from tests.billing.ledger.ledger_worker import run_together
from tests.fakes.tables import further

ROOT = Path(__file__).parents[3]


def test_tables_are_what_the_migrations_make(database):
    driver = database.driver
    with driver.pool.lend() as raw, wrap_connection(driver, raw) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def _sqlite_schema(path: Path, make: Callable[[Any], None]) -> str:
    """Whatever a file has after it was made, as a script that makes it."""
    driver = SqliteDriver(path)
    driver.create()
    with driver.pool.lend() as raw, wrap_connection(driver, raw) as connection:
        make(connection)
        made = raw.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid").fetchall()
        (version,) = raw.execute("SELECT version_num FROM alembic_version").fetchone()
    driver.close()
    stamp = f"INSERT INTO alembic_version (version_num) VALUES ('{version}')"
    return "".join(f"{' '.join(statement.split())};\n" for statement in [*(sql for (sql,) in made), stamp])


def test_a_new_file_is_what_the_migrations_make(tmp_path):
    driver = SqliteDriver(tmp_path / "new.sqlite3")
    driver.create()
    migrate(driver)
    driver.close()

    made = _sqlite_schema(tmp_path / "new.sqlite3", lambda connection: None)
    wanted = _sqlite_schema(tmp_path / "migrated.sqlite3", upgrade)
    assert made == wanted, f"write this into {NEW_SQLITE}:\n{wanted}"


def test_files_of_migrations_begin_with_their_revision():
    scripts = ScriptDirectory(str(SCRIPTS))
    assert scripts.get_heads() == [find_newest_revision()]
    for script in scripts.walk_revisions():
        assert Path(script.path).name.startswith(f"{script.revision}_")
        assert len(script.revision) == 4


@pytest.mark.parametrize("store", ["sqlite", *further("postgresql")], indirect=True)
def test_four_processes_may_migrate_at_once(store, tmp_path):
    run_together(store.url, 4, "migrate")

    database = open_database(store.url, tmp_path)
    database.check()
    with database.read_transaction() as connection:
        assert connection.fetch_value("SELECT count(*) FROM entries") == 0
    database.close()


@pytest.mark.thorough
@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_a_start_costs_no_alembic_if_its_tables_are_up_to_date_or_its_file_is_new(
    store, database, migrated_file, tmp_path
):
    """That none of the whole application loads it either: tests/test_start.py."""
    shutil.copy(migrated_file, tmp_path / "up_to_date.sqlite3")
    code = f"""
import sys, types
sys.modules["app"] = types.ModuleType("app")
sys.modules["app"].__path__ = ["app"]
from pathlib import Path
from app.storage.database.database import open_database
for url in ("sqlite:///new.sqlite3", "sqlite:///up_to_date.sqlite3", {store.url!r}):
    database = open_database(url, Path({str(tmp_path)!r}))
    database.migrate()
    database.check()
    database.close()
    assert not {{"alembic", "sqlalchemy"}} & set(sys.modules), url
    assert "genai_prices" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)


def test_an_upgrade_is_one_transaction(store, tmp_path):
    database = open_database(store.url, tmp_path)
    driver = database.driver
    driver.create()
    with driver.pool.lend() as raw, wrap_connection(driver, raw) as connection:
        driver.begin_migration(raw)
        upgrade(connection)
        assert read_revision(driver, raw) == find_newest_revision()
        raw.execute("ROLLBACK")

        driver.begin(raw, clock.ticks() + 5, writes=False)
        assert read_revision(driver, raw) == ""
        raw.rollback()
    database.close()


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_a_server_that_ends_a_connection_during_an_upgrade_is_an_outage(store, tmp_path, monkeypatch):
    def end(connection):
        connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    database = open_database(store.url, tmp_path)
    with monkeypatch.context() as patch, pytest.raises(DatabaseUnavailable):
        patch.setattr("app.storage.database.migrations.upgrade.upgrade", end)
        database.migrate()

    database.migrate()
    database.check()
    database.close()


def test_a_newer_version_of_the_tables_is_left_alone(database):
    with database.transaction() as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    database.migrate()

    with database.read_transaction() as connection:
        assert connection.fetch_value("SELECT version_num FROM alembic_version") == "9999"


def test_a_block_that_raises_is_rolled_back(database):
    class OfTheBlock(Exception):
        pass

    with pytest.raises(OfTheBlock), database.transaction() as connection:
        connection.execute("INSERT INTO accounts (key, period) VALUES ('a', 'b')")
        raise OfTheBlock

    with database.read_transaction() as connection:
        assert connection.fetch_value("SELECT count(*) FROM accounts") == 0


def test_a_single_statement_that_is_wrong_is_a_bug_and_no_outage(database):
    with pytest.raises(Exception, match=r"(?i)syntax") as error:
        database.execute("SELEKT", ())

    assert not isinstance(error.value, DatabaseUnavailable)
    database.check()


def test_a_single_statement_waits_for_its_turn(store, database, tmp_path):
    """Of those of this process, and of those of others."""
    other = open_database(store.url, tmp_path)
    statement = database.render_sql("INSERT INTO accounts (key, period) VALUES (?, ?)")
    for busy in (database, other):
        with ThreadPoolExecutor(1) as threads:
            with busy.transaction() as connection:
                connection.execute("INSERT INTO accounts (key, period) VALUES ('a', 'b')")
                waiting = threads.submit(database.execute, statement, ("c", "d"))
                time.sleep(0.05)
                connection.execute("DELETE FROM accounts WHERE key = 'a'")
            assert waiting.result(5) == 1
            assert database.execute(database.render_sql("DELETE FROM accounts WHERE key = ?"), ("c",)) == 1
    other.close()


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_single_statement_that_got_no_turn_was_not_run(store, database):
    with store.frozen(), pytest.raises(DatabaseUnavailable) as error:
        database.execute("INSERT INTO accounts (key, period) VALUES ('a', 'b')", (), within_s=0.1)

    assert not error.value.is_unsure


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_it_can_be_closed_while_its_writer_fails(database, monkeypatch):
    database.check()
    acquire_turn = database.driver.acquire_turn

    def wait_until_the_writer_is_closed(deadline, *, writes):
        writer, database._writer = database._writer, None  # as by another thread, whose turn it was
        database.driver.pool.discard(writer.raw)
        return acquire_turn(deadline, writes=writes)

    monkeypatch.setattr(database.driver, "acquire_turn", wait_until_the_writer_is_closed)
    database.close()


def test_readings_see_one_moment(database):
    with database.read_transaction() as connection:
        count = "SELECT count(*) FROM accounts"
        assert connection.fetch_value(count) == 0
        with database.transaction() as other:
            other.execute("INSERT INTO accounts (key, period) VALUES ('a', 'b')")
        assert connection.fetch_value(count) == 0

    with database.read_transaction() as connection:
        assert connection.fetch_value(count) == 1


def test_a_statement_that_is_wrong_is_a_bug_and_no_outage(database):
    with pytest.raises(Exception, match=r"(?i)syntax") as error, database.transaction() as connection:
        connection.execute("SELEKT")

    assert not isinstance(error.value, DatabaseUnavailable)
    database.check()


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_the_file_is_its_owners_alone_and_written_ahead(store, tmp_path):
    database = open_database(store.url, tmp_path)
    database.migrate()
    assert store.path.stat().st_mode & 0o777 == 0o600
    assert store.path.parent.stat().st_mode & 0o777 == 0o700
    with database.read_transaction() as connection:
        assert connection.fetch_value("PRAGMA journal_mode") == "wal"
    database.close()


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_checkpoint_empties_the_log_into_the_file(store, tmp_path):
    database = open_database(store.url, tmp_path)
    database.migrate()
    with database.transaction() as connection:
        connection.execute("INSERT INTO accounts (key, period) VALUES ('a', 'b')")
    size = store.path.stat().st_size

    database.checkpoint()

    assert store.path.stat().st_size > size
    database.close()


def test_an_old_sqlite_does_without_a_log(tmp_path, monkeypatch, clock):
    monkeypatch.setattr("app.runtime.sqlite.has_safe_wal", lambda version: False)
    database = open_database("sqlite:///old.sqlite3", tmp_path)
    database.migrate()

    with database.transaction() as connection:
        connection.execute("INSERT INTO accounts (key, period) VALUES ('a', 'b')")
    with database.read_transaction() as connection:
        assert connection.fetch_value("PRAGMA journal_mode") == "delete"
        assert connection.fetch_value("PRAGMA synchronous") == 2
    database.close()


@pytest.mark.parametrize(
    "url", ["", "sqlite://", "sqlite:///:memory:", "mysql://u:canary@h/d", "canary", "postgresql://u:canary@h:x/d"]
)
def test_other_urls_are_refused_without_a_word_of_theirs(url, tmp_path):
    with pytest.raises(ValueError, match="DATABASE_URL") as error:
        open_database(url, tmp_path)
    assert "canary" not in str(error.value)


def test_a_relative_path_is_below_the_root(tmp_path):
    database = open_database("sqlite:///instance/a.sqlite3", tmp_path)
    database.migrate()
    database.close()
    assert (tmp_path / "instance" / "a.sqlite3").exists()


def test_a_revision_is_not_generated_from_tables_that_are_not_loaded(database):
    """Else it would drop all tables."""
    config = AlembicConfig()
    config.set_main_option("script_location", str(SCRIPTS))
    with database.driver.pool.lend() as raw, wrap_connection(database.driver, raw) as connection:
        config.attributes["connection"] = connection
        script = ScriptDirectory.from_config(config)
        compared = []

        def look(_revision, context):
            compared.append(context.opts["target_metadata"])
            return []

        with EnvironmentContext(config, script, fn=look, as_sql=False):
            script.run_env()
    assert compared == [None]
