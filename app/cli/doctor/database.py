"""Check whether the database answers and can be written, and why not, without changing its tables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from app.cli.doctor.clock import judge_clock
from app.cli.doctor.finding import Finding, fault, ok, warning
from app.cli.doctor.reasons import find_reason
from app.config import Config
from app.storage.database.connections.url import parse_url
from app.storage.database.database import Contended, Database, DatabaseUnavailable, open_database
from app.storage.database.inspection import Inspection, inspect_database, read_postgres_limits, try_to_write

_CHECK_SERVER = "Check that it runs, its host, user, password and name in DATABASE_URL, and its firewall."


def check_database(root: Path, config: Config) -> Iterator[Finding]:
    """Check that the database answers and can be written."""
    is_file = config.database_url.startswith("sqlite")
    if is_file and not (root / config.database_url.partition("///")[2]).exists():
        # Not created here: the file could belong to root.
        yield ok("database", "The ledger's file is created at the first start.")
        return
    database = open_database(config.database_url, root)
    name = "SQLite" if is_file else _name_server(config.database_url)
    try:
        found = inspect_database(database, deep=False)
        try_to_write(database, found)
    except Contended:
        yield ok("database", f"{name} is busy with other writers, so it can be written.")
    except DatabaseUnavailable as error:
        advice = error.advice or _CHECK_SERVER
        hint = f"{advice[0].upper()}{advice[1:].removesuffix('.')}."
        yield fault("database", f"{name} cannot be used ({find_reason(error)}).", hint)
    else:
        yield ok("database", f"{name} answers, and can be written{_describe_tables(found)}.")
        if not is_file:
            yield from _check_server(config, database)
    finally:
        database.close()


def _name_server(url: str) -> str:
    parsed = parse_url(url)
    place = parsed.host or parsed.options.get("host") or "its socket"
    return f"PostgreSQL at {place}{f':{parsed.port}' if parsed.port else ''}"


def _describe_tables(found: Inspection) -> str:
    if not found.revision:
        return "; the first start creates its tables"
    if found.pending:
        return f"; the next start upgrades its tables from revision {found.revision} to {found.newest}"
    return ""


def _check_server(config: Config, database: Database) -> Iterator[Finding]:
    from app.storage.database.postgres_driver import POOL_SIZE  # imported here, because loading psycopg takes time

    free, ahead_s = read_postgres_limits(database)
    yield judge_clock(ahead_s, "PostgreSQL's")
    workers = config.web_concurrency or max(2, os.cpu_count() or 1)
    if free < (needed := workers * POOL_SIZE):
        yield warning(
            "database",
            f"PostgreSQL allows {free} connections; the {workers} workers of this machine may open {needed}.",
            "Raise max_connections in postgresql.conf, or lower WEB_CONCURRENCY. Each further machine needs as many.",
        )
