"""Open the configured store: Redis, or a SQLite file."""

from __future__ import annotations

from pathlib import Path

from app.storage.shared_state.cache import SharedCache
from app.storage.shared_state.interface import SharedState
from app.storage.shared_state.records import SharedRecords
from app.storage.shared_state.resilient import ResilientState
from app.storage.shared_state.sqlite_store import SqliteStore
from app.storage.shared_state.store import Store


def open_state(*, directory: Path, redis_url: str) -> SharedState:
    """Return state in Redis if there is a URL, else in a file. It connects on first use.

    Args:
        directory: the folder of the file, created if missing. Unused with Redis.
        redis_url: REDIS_URL; empty without Redis.

    Raises:
        ValueError: the URL is not a Redis URL.
    """
    return ResilientState(_open_store(directory / "state.sqlite3", redis_url))


def open_cache(*, directory: Path, redis_url: str) -> SharedCache:
    """Return a cache in Redis or in a file. Arguments and errors as in open_state().

    It has a file of its own, so that writing large values delays no other state.
    """
    return SharedCache(_open_store(directory / "cache.sqlite3", redis_url))


def open_records(*, directory: Path, redis_url: str) -> SharedRecords:
    """Return records in Redis or in a file of their own. Arguments and errors as in open_state()."""
    return SharedRecords(_open_store(directory / "answers.sqlite3", redis_url))


def _open_store(path: Path, redis_url: str) -> Store:
    return _open_redis_store(redis_url) if redis_url else SqliteStore(path)


def _open_redis_store(url: str) -> Store:
    from app.storage.shared_state.redis_store import RedisStore  # here, as loading redis takes time

    return RedisStore(url)
