"""Connect to Redis, with timeouts that do not count delays of this process as outages of Redis."""

from __future__ import annotations

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection
from redis.retry import Retry

from app.storage.shared_state.store import TIMEOUT_S


def make_connection_pool(url: str) -> redis.ConnectionPool:
    """Return a pool of connections, opened when needed. Raises ValueError if it is not a Redis URL."""
    pool = redis.ConnectionPool.from_url(
        url,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        driver_info=None,  # saves each new connection two round trips
    )
    if issubclass(pool.connection_class, redis.Connection):  # TCP, not a Unix socket
        pool.connection_kwargs["socket_keepalive"] = True
    pool.connection_class = type("Connection", (_RecheckingConnection, pool.connection_class), {})
    return pool


class _RecheckingConnection(AbstractConnection):
    """Checks the socket once more before it reports a timeout.

    gevent handles ready sockets in chunks, the first of 64. In a burst, a response that has arrived can be in a later
    chunk, and its timeout fires first.
    """

    def read_response(self, *args: Any, **options: Any) -> Any:
        """Return a response; disconnect on any error except one that Redis sent."""
        read: Any = super().read_response
        options["disconnect_on_error"] = False
        try:
            try:
                return read(*args, **options)
            except redis.TimeoutError:
                if not self._parser.can_read(0):
                    raise
                return read(*args, **options)
        except redis.ResponseError:  # sent by Redis: the connection works
            raise
        except BaseException:
            self.disconnect()  # type: ignore[no-untyped-call]
            raise
