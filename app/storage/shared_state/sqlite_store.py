"""Store shared state in a SQLite file, for all processes of this machine."""

# ruff: noqa: S608  # only constants are interpolated; values are bound

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import orjson

from app.runtime import clock
from app.storage.shared_state.sqlite_file import SqliteFile
from app.storage.shared_state.store import CLOCK_SLACK_S, LEASE_S, Swap

_CLEANUP_S = 1.0

# `entries` has row ids: without them, the search for a key would read the large values on its way through the tree.
# `leases` has no index by expiry: its rows are few, and each change would have to write the index too.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, ttl_s REAL NOT NULL, expires_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS entries_by_expiry ON entries (expires_at);
CREATE TABLE IF NOT EXISTS leases (
    name TEXT, process TEXT, held INTEGER NOT NULL, expires_at REAL NOT NULL, PRIMARY KEY (name, process)
) WITHOUT ROWID;
DROP INDEX IF EXISTS leases_by_expiry;
"""

# An expiry further ahead than its TTL is from before the clock was set back, and counts as past.
_IS_LIVE = f"expires_at > :now AND expires_at <= :now + ttl_s + {CLOCK_SLACK_S}"
_IS_LIVE_LEASE = f"expires_at > :now AND expires_at <= :now + {LEASE_S + CLOCK_SLACK_S}"

_READ = f"SELECT value FROM entries WHERE key = :key AND {_IS_LIVE}"
_READ_MANY = f"""
SELECT key, value FROM entries WHERE key IN (SELECT value FROM json_each(:keys)) AND {_IS_LIVE}
"""
_INTO = "INSERT INTO entries (key, value, ttl_s, expires_at) VALUES"
_OVERWRITE = """
ON CONFLICT (key) DO UPDATE SET value = excluded.value, ttl_s = excluded.ttl_s, expires_at = excluded.expires_at
"""
_SET = f"{_INTO} (:key, :new, :ttl_s, :now + :ttl_s) {_OVERWRITE}"
_INSERT = f"""
INSERT INTO entries (key, value, ttl_s, expires_at) VALUES (:key, :new, :ttl_s, :now + :ttl_s)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, ttl_s = excluded.ttl_s, expires_at = excluded.expires_at
WHERE NOT ({_IS_LIVE})
"""
_REPLACE = f"""
UPDATE entries SET value = :new, ttl_s = :ttl_s, expires_at = :now + :ttl_s
WHERE key = :key AND value = :old AND {_IS_LIVE}
"""
_REMOVE = f"DELETE FROM entries WHERE key = :key AND value = :old AND {_IS_LIVE}"

_COUNT_LEASES = f"SELECT coalesce(sum(held), 0) FROM leases WHERE name = :name AND {_IS_LIVE_LEASE}"
_COUNT_OTHERS = f"""
SELECT name, sum(held) FROM leases
WHERE name IN (SELECT value FROM json_each(:names)) AND process <> :process AND {_IS_LIVE_LEASE} GROUP BY name
"""
_OVERWRITE_LEASES = """
ON CONFLICT (name, process) DO UPDATE SET held = excluded.held, expires_at = excluded.expires_at
"""
# A count of 0 expires at once, so that _DELETE_EXPIRED_LEASES deletes it. A DELETE here would be a second transaction.
_SET_LEASES = f"""
INSERT INTO leases (name, process, held, expires_at)
SELECT key, :process, value, CASE value WHEN 0 THEN :now ELSE :now + {LEASE_S} END FROM json_each(:held) WHERE true
{_OVERWRITE_LEASES}
"""

_DELETE_EXPIRED = """
DELETE FROM entries WHERE key IN (SELECT key FROM entries WHERE expires_at <= :now LIMIT 100)
"""
_DELETE_EXPIRED_LEASES = f"""
DELETE FROM leases WHERE (name, process) IN (
    SELECT name, process FROM leases
    WHERE expires_at <= :now OR expires_at > :now + {LEASE_S + CLOCK_SLACK_S} LIMIT 1000
)
"""


@cache
def _build_set_many(count: int) -> str:
    rows = ", ".join(f"(:key{place}, :new{place}, :ttl{place}, :now + :ttl{place})" for place in range(count))
    return f"{_INTO} {rows} {_OVERWRITE}"


@cache
def _build_swap_many(count: int) -> str:
    are_old = " AND ".join(
        f"(SELECT value FROM entries WHERE key = :key{place} AND {_IS_LIVE}) IS :old{place}"
        for place in range(count)
    )
    rows = ", ".join(f"(:key{place}, :new{place}, :ttl{place})" for place in range(count))
    return f"""
    INSERT INTO entries (key, value, ttl_s, expires_at)
    SELECT column1, column2, column3, :now + column3 FROM (VALUES {rows}) WHERE {are_old} {_OVERWRITE}
    """


@cache
def _build_take_leases(names: int) -> str:
    """Return the statement that writes the increased counts of names, if all are below their limits."""
    is_free = " AND ".join(
        f"""(
            SELECT coalesce(sum(held), 0) FROM leases WHERE name = :name{place} AND process <> :process
            AND {_IS_LIVE_LEASE}
        ) < :free{place}"""
        for place in range(names)
    )
    rows = ", ".join(f"(:name{place}, :held{place} + 1)" for place in range(names))
    return f"""
    INSERT INTO leases (name, process, held, expires_at)
    SELECT column1, :process, column2, :now + {LEASE_S} FROM (VALUES {rows}) WHERE {is_free}
    {_OVERWRITE_LEASES}
    """


class SqliteStore:
    """A Store in one file, readable by this user only. The methods are documented there."""

    kind = "sqlite"

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, _SCHEMA)
        self._delete_expired_at = 0.0

    def read(self, key: str) -> bytes | None:
        """Return a key's value; None if it has none or has expired."""
        rows = self._file.query(_READ, {"key": key, "now": clock.now()})
        return rows[0][0] if rows else None

    def compare_and_swap(self, key: str, old: bytes | None, new: bytes | None, ttl_s: float) -> bool:
        """Set or remove a key's value if it is `old`."""
        self._delete_expired()
        sql = _REMOVE if new is None else _INSERT if old is None else _REPLACE
        values = {"key": key, "old": old, "new": new, "ttl_s": ttl_s, "now": clock.now()}
        return self._file.change(sql, values) == 1

    def swap_many(self, swaps: Mapping[str, Swap]) -> bool:
        """Set several keys' values in one statement, if all have their expected ones."""
        self._delete_expired()
        bound: dict[str, object] = {"now": clock.now()}
        for place, (key, (old, new, ttl_s)) in enumerate(swaps.items()):
            bound |= {f"key{place}": key, f"old{place}": old, f"new{place}": new, f"ttl{place}": ttl_s}
        return self._file.change(_build_swap_many(len(swaps)), bound) > 0

    def read_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the values that exist, by key."""
        values = {"keys": orjson.dumps(keys).decode(), "now": clock.now()}
        return dict(self._file.query(_READ_MANY, values))

    def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """Set a key's value."""
        self._delete_expired()
        self._file.change(_SET, {"key": key, "new": value, "ttl_s": ttl_s, "now": clock.now()})

    def put_many(self, values: Mapping[str, tuple[bytes, float]]) -> None:
        """Set several keys' values in one statement."""
        self._delete_expired()
        bound: dict[str, object] = {"now": clock.now()}
        for place, (key, (value, ttl_s)) in enumerate(values.items()):
            bound |= {f"key{place}": key, f"new{place}": value, f"ttl{place}": ttl_s}
        self._file.change(_build_set_many(len(values)), bound)

    def take_leases(
        self, process: str, held: Mapping[str, int], wanted: Sequence[Mapping[str, int]]
    ) -> list[str | None]:
        """Take leases for several callers. Return for each None, or the name of which all are taken."""
        held = dict(held)
        return [self._take_lease(process, held, limits) for limits in wanted]

    def count_leases(self, name: str) -> int:
        """Return the number of leases of a name that all processes hold."""
        return int(self._file.query(_COUNT_LEASES, {"name": name, "now": clock.now()})[0][0])

    def set_leases(self, process: str, held: Mapping[str, int]) -> None:
        """Set the number of leases of each name that a process holds."""
        self._delete_expired()
        self._file.change(
            _SET_LEASES, {"process": process, "held": orjson.dumps(held).decode(), "now": clock.now()}
        )

    def close(self) -> None:
        """Close the connections."""
        self._file.close()

    def _take_lease(self, process: str, held: dict[str, int], limits: Mapping[str, int]) -> str | None:
        """Take one lease of each name and count it in `held`, or return the first name of which all are taken."""
        values: dict[str, object] = {"process": process, "now": clock.now()}
        for place, (name, limit) in enumerate(limits.items()):
            own = held[name]
            values |= {f"name{place}": name, f"held{place}": own, f"free{place}": limit - own}
        while not self._file.change(_build_take_leases(len(limits)), values):
            # A second query, as RETURNING needs SQLite 3.35. If others have released leases meanwhile, try again.
            names = {"names": orjson.dumps(list(limits)).decode(), "process": process, "now": values["now"]}
            others = dict(self._file.query(_COUNT_OTHERS, names))
            for name, limit in limits.items():
                if held[name] + others.get(name, 0) >= limit:
                    return name
        for name in limits:
            held[name] += 1
        return None

    def _delete_expired(self) -> None:
        """Delete up to 100 expired values and 1,000 expired counts of leases, once a second."""
        if clock.ticks() < self._delete_expired_at:
            return
        self._delete_expired_at = clock.ticks() + _CLEANUP_S
        self._file.change(_DELETE_EXPIRED, {"now": clock.now()})
        self._file.change(_DELETE_EXPIRED_LEASES, {"now": clock.now()})
