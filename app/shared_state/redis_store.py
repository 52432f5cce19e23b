"""RedisStore: shared state in Redis 5 or later (or Valkey), for all processes of all machines."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.shared_state.store import CLOCK_SLACK_S, LEASE_S, PATIENCE_S, Contended, StateUnavailable

T = TypeVar("T")

_PREFIX = "gatehouse:"
_LEASE_MS = int(LEASE_S * 1000)
_MAX_CONNECTIONS = 32
# Much less than PATIENCE_S: when Redis is frozen, who waits behind 32 others must not then wait for it too.
_TURN_S = 0.1

# A value is sent with a byte before it, so that none can be told from an empty one.
_SWAP = """
local current = redis.call('GET', KEYS[1])
if (current and '=' .. current or '') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then
    redis.call('DEL', KEYS[1])
else
    redis.call('SET', KEYS[1], string.sub(ARGV[2], 2), 'PX', ARGV[3])
end
return 1
"""

# A hash for each name: process -> "count expiry", the expiry in milliseconds of the server's clock.
_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function note(key, process, held, lease)
    if held == 0 then redis.call('HDEL', key, process) return end
    redis.call('HSET', key, process, string.format('%d %.0f', held, now + lease))
    redis.call('PEXPIRE', key, lease)
end
"""
_TAKE = f"""{_NOW}
local process, held, limit, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local all, fields = held, redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
    if fields[i] ~= process then
        local count, expiry = string.match(fields[i + 1], '^(%d+) (%d+)$')
        local left = tonumber(expiry) - now
        if left > 0 and left <= lease + {CLOCK_SLACK_S * 1000:.0f} then
            all = all + tonumber(count)
        else
            redis.call('HDEL', KEYS[1], fields[i])
        end
    end
end
if all >= limit then return 0 end
note(KEYS[1], process, held + 1, lease)
return 1
"""
_NOTE = f"""{_NOW}
for i, key in ipairs(KEYS) do
    note(key, ARGV[1], tonumber(ARGV[i + 2]), tonumber(ARGV[2]))
end
"""


class RedisStore:
    """A Store in Redis. Looking a name up, when it has to connect, is the one thing that PATIENCE_S does not bound."""

    kind = "redis"

    def __init__(self, url: str) -> None:
        """Prepare to connect.

        Raises:
            ValueError: it is not the URL of a Redis.
        """
        self._url = url
        self._client = _Client(url)
        self._free = threading.Semaphore(_MAX_CONNECTIONS)

    def read(self, key: str) -> bytes | None:
        value: bytes | None = self._ask(lambda client: client.redis.get(_value_key(key)))
        return value

    def swap(self, key: str, old: bytes | None, new: bytes | None, ttl_s: float) -> bool:
        arguments: list[bytes | int] = [_marked(old), _marked(new), max(1, round(ttl_s * 1000))]
        return bool(self._ask(lambda client: client.swap([_value_key(key)], arguments)))

    def take(self, name: str, process: str, held: int, limit: int) -> bool:
        return bool(self._ask(lambda client: client.take([_lease_key(name)], [process, held, limit, _LEASE_MS])))

    def note(self, process: str, held: Mapping[str, int]) -> None:
        if held:
            keys = [_lease_key(name) for name in held]
            self._ask(lambda client: client.note(keys, [process, _LEASE_MS, *held.values()]))

    def close(self) -> None:
        self._client.redis.connection_pool.disconnect()

    def _ask(self, call: Callable[[_Client], T]) -> T:
        # Not a blocking pool of redis-py's: a hundred waiters that give up at once keep a worker busy for 50 ms.
        if not self._free.acquire(timeout=_TURN_S):
            raise Contended("contended")
        client = self._client
        try:
            return call(client)
        except (redis.RedisError, OSError) as error:
            # The other connections of its pool are likely to be as dead, or to lead to what is a replica now.
            if self._client is client:
                self._client = _Client(self._url)
            raise StateUnavailable(type(error).__name__) from error
        finally:
            self._free.release()


class _Client:
    """Connections to one Redis, opened when needed, and the scripts that are run there."""

    def __init__(self, url: str) -> None:
        pool = redis.ConnectionPool.from_url(
            url,
            socket_timeout=PATIENCE_S,
            socket_connect_timeout=PATIENCE_S,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),
            driver_info=None,  # it would cost each new connection two round trips
        )
        self.redis: Any = redis.Redis(connection_pool=pool)
        self.swap = self.redis.register_script(_SWAP)
        self.take = self.redis.register_script(_TAKE)
        self.note = self.redis.register_script(_NOTE)


def _value_key(key: str) -> str:
    return f"{_PREFIX}value:{key}"


def _lease_key(name: str) -> str:
    return f"{_PREFIX}lease:{name}"


def _marked(value: bytes | None) -> bytes:
    return b"" if value is None else b"=" + value
