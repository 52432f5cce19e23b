"""open_state, open_cache: which store there is, by configuration."""

from __future__ import annotations

from pathlib import Path

from app.shared_state.cache import SharedCache
from app.shared_state.interface import SharedState
from app.shared_state.resilient import ResilientState
from app.shared_state.sqlite_store import SqliteStore
from app.shared_state.store import Store


def open_state(*, directory: Path, redis_url: str) -> SharedState:
    """State shared by REDIS_URL's clients if there is one, else by this machine's processes.

    Nothing is opened before it is needed, so this works while the store is away.

    Args:
        directory: where the file is; applied if it is missing. Not used with Redis.
    Raises:
        ValueError: the URL is not one of a Redis.
    """
    return ResilientState(_open_store(directory / "state.sqlite3", redis_url))


def open_cache(*, directory: Path, redis_url: str) -> SharedCache:
    """A cache shared by the same. Args, and what is raised, as open_state().

    A file of its own, as its values are large, and nobody shall wait for them who wants something else.
    """
    return SharedCache(_open_store(directory / "cache.sqlite3", redis_url))


def _open_store(path: Path, redis_url: str) -> Store:
    return _redis_store(redis_url) if redis_url else SqliteStore(path)


def _redis_store(url: str) -> Store:
    from app.shared_state.redis_store import RedisStore  # only who uses it shall pay for loading redis

    return RedisStore(url)
