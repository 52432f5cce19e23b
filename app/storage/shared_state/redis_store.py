"""Store shared state in Redis 5 or later (or Valkey), for the processes of several machines."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import orjson
import redis

from app.runtime.store_guard import DatabaseUnavailable
from app.storage.shared_state.redis_connection import make_connection_pool
from app.storage.shared_state.store import CLOCK_SLACK_S, LEASE_S, QUEUE_TIMEOUT_S, Swap

T = TypeVar("T")

_PREFIX = "gatehouse:"
_MAX_CONNECTIONS = 32

# Values are sent with a prefix "=", so that "" can mean no value.
_COMPARE_AND_SWAP = """
local current = redis.call('GET', KEYS[1])
if (current and '=' .. current or '') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then
    redis.call('DEL', KEYS[1])
else
    redis.call('SET', KEYS[1], string.sub(ARGV[2], 2), 'PX', ARGV[3])
end
return 1
"""

# For each key three arguments: its expected value, its new value, and the lifetime of that in milliseconds.
_SWAP_MANY = """
for key = 1, #KEYS do
    local current = redis.call('GET', KEYS[key])
    if (current and '=' .. current or '') ~= ARGV[3 * key - 2] then return 0 end
end
for key = 1, #KEYS do redis.call('SET', KEYS[key], ARGV[3 * key - 1], 'PX', ARGV[3 * key]) end
return 1
"""

# One hash for each name: process -> "count expiry", the expiry in milliseconds of the Redis server's clock.
_LEASES = f"""
local process, lease = ARGV[1], {LEASE_S * 1000:.0f}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function write(key, held)
    if held == 0 then redis.call('HDEL', key, process) return end
    redis.call('HSET', key, process, string.format('%d %.0f', held, now + lease))
    redis.call('PEXPIRE', key, lease)
end
local function count_others(key)
    local held, fields = 0, redis.call('HGETALL', key)
    for i = 1, #fields, 2 do
        if fields[i] ~= process then
            local count, expiry = string.match(fields[i + 1], '^(%d+) (%d+)$')
            local left = tonumber(expiry) - now
            if left > 0 and left <= lease + {CLOCK_SLACK_S * 1000:.0f} then
                held = held + tonumber(count)
            else
                redis.call('HDEL', key, fields[i])
            end
        end
    end
    return held
end
"""
# Returns for each caller the position of the key of which all leases are taken, or 0.
_TAKE_LEASES = f"""{_LEASES}
local held, wanted = cjson.decode(ARGV[2]), cjson.decode(ARGV[3])
local taken, refused, changed = {{}}, {{}}, {{}}
for key = 1, #KEYS do taken[key] = held[key] + count_others(KEYS[key]) end
for caller, limits in ipairs(wanted) do
    refused[caller] = 0
    for _, limit in ipairs(limits) do
        if refused[caller] == 0 and taken[limit[1]] >= limit[2] then refused[caller] = limit[1] end
    end
    if refused[caller] == 0 then
        for _, limit in ipairs(limits) do
            local key = limit[1]
            held[key], taken[key], changed[key] = held[key] + 1, taken[key] + 1, true
        end
    end
end
for key in pairs(changed) do write(KEYS[key], held[key]) end
return refused
"""
_COUNT_LEASES = f"""{_LEASES}
return count_others(KEYS[1])
"""
_SET_LEASES = f"""{_LEASES}
for key, held in ipairs(cjson.decode(ARGV[2])) do write(KEYS[key], held) end
"""


class RedisStore:
    """A Store in Redis. The methods are documented there. TIMEOUT_S does not limit the DNS lookup for a connection."""

    kind = "redis"

    def __init__(self, url: str) -> None:
        """Prepare to connect on first use.

        Raises:
            ValueError: the URL is not a Redis URL.
        """
        self._url = url
        self._client = _Client(url)
        self._free = threading.Semaphore(_MAX_CONNECTIONS)

    def read(self, key: str) -> bytes | None:
        """Return a key's value; None if it has none."""
        value: bytes | None = self._run(lambda client: client.redis.get(_build_value_key(key)))
        return value

    def compare_and_swap(self, key: str, old: bytes | None, new: bytes | None, ttl_s: float) -> bool:
        """Set or remove a key's value if it is `old`."""
        arguments: list[bytes | int] = [_tag(old), _tag(new), _to_milliseconds(ttl_s)]
        return bool(self._run(lambda client: client.compare_and_swap([_build_value_key(key)], arguments)))

    def swap_many(self, swaps: Mapping[str, Swap]) -> bool:
        """Set several keys' values if all have their expected ones."""
        arguments: list[bytes | int] = []
        for old, new, ttl_s in swaps.values():
            arguments += (_tag(old), new, _to_milliseconds(ttl_s))
        return bool(self._run(lambda client: client.swap_many([*map(_build_value_key, swaps)], arguments)))

    def read_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the values that exist, by key."""
        values = self._run(lambda client: client.redis.mget([_build_value_key(key) for key in keys]))
        return {key: value for key, value in zip(keys, values, strict=True) if value is not None}

    def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """Set a key's value."""
        self._run(lambda client: client.redis.set(_build_value_key(key), value, px=_to_milliseconds(ttl_s)))

    def put_many(self, values: Mapping[str, tuple[bytes, float]]) -> None:
        """Set several keys' values in one transaction."""

        def write(client: _Client) -> None:
            pipeline = client.redis.pipeline(transaction=True)
            for key, (value, ttl_s) in values.items():
                pipeline.set(_build_value_key(key), value, px=_to_milliseconds(ttl_s))
            pipeline.execute()

        self._run(write)

    def take_leases(
        self, process: str, held: Mapping[str, int], wanted: Sequence[Mapping[str, int]]
    ) -> list[str | None]:
        """Take leases for several callers. Return for each None, or the name of which all are taken."""
        names = list(held)
        numbers = {name: number for number, name in enumerate(names, 1)}
        limits = [[(numbers[name], limit) for name, limit in each.items()] for each in wanted]
        arguments: list[str | bytes] = [process, orjson.dumps([*held.values()]), orjson.dumps(limits)]
        refused = self._run(lambda client: client.take_leases([*map(_build_lease_key, names)], arguments))
        return [names[number - 1] if number else None for number in refused]

    def count_leases(self, name: str) -> int:
        """Return the number of leases of a name that all processes hold."""
        return int(self._run(lambda client: client.count_leases([_build_lease_key(name)], [""])))

    def set_leases(self, process: str, held: Mapping[str, int]) -> None:
        """Set the number of leases of each name that a process holds."""
        arguments: list[str | bytes] = [process, orjson.dumps([*held.values()])]
        self._run(lambda client: client.set_leases([*map(_build_lease_key, held)], arguments))

    def close(self) -> None:
        """Close the connections."""
        self._client.redis.connection_pool.disconnect()

    def _run(self, command: Callable[[_Client], T]) -> T:
        """Run a command with one of the connections. Raises DatabaseUnavailable."""
        client = self._client
        # Not redis-py's blocking pool: there, a hundred waiters that time out together block a worker for 50 ms.
        if not self._free.acquire(timeout=QUEUE_TIMEOUT_S):
            raise DatabaseUnavailable("overloaded")
        try:
            if self._client is not client:  # Redis failed while this caller waited
                raise DatabaseUnavailable("away")
            return command(client)
        except (redis.RedisError, OSError) as error:
            # The pool's other connections are probably dead too, or lead to a server that has become a replica.
            if self._client is client:
                self._client = _Client(self._url)
            raise DatabaseUnavailable(type(error).__name__, advice=_find_advice(error)) from error
        finally:
            self._free.release()


def _find_advice(error: Exception) -> str:
    text = str(error)
    if isinstance(error, redis.AuthenticationError) or text.startswith(("NOAUTH", "WRONGPASS", "NOPERM")):
        return "Redis refuses the user or password: check REDIS_URL"
    if "DB index" in text:
        return "Redis has no database of that number: check REDIS_URL"
    if isinstance(error, redis.ReadOnlyError):
        return "this Redis is a replica: let REDIS_URL lead to the primary"
    if isinstance(error, redis.OutOfMemoryError):
        return "the memory of Redis is full: raise its maxmemory"
    if isinstance(error, redis.BusyLoadingError):
        return "Redis still loads its data: wait"
    return "Redis cannot be reached: check that it runs, and REDIS_URL"


class _Client:
    """Connections to one Redis, and the scripts that run there."""

    def __init__(self, url: str) -> None:
        self.redis: Any = redis.Redis(connection_pool=make_connection_pool(url))
        self.compare_and_swap = self.redis.register_script(_COMPARE_AND_SWAP)
        self.swap_many = self.redis.register_script(_SWAP_MANY)
        self.take_leases = self.redis.register_script(_TAKE_LEASES)
        self.count_leases = self.redis.register_script(_COUNT_LEASES)
        self.set_leases = self.redis.register_script(_SET_LEASES)


def _build_value_key(key: str) -> str:
    return f"{_PREFIX}value:{key}"


def _build_lease_key(name: str) -> str:
    return f"{_PREFIX}lease:{name}"


def _to_milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _tag(value: bytes | None) -> bytes:
    return b"" if value is None else b"=" + value
