"""Connections to Redis that do not take this process's own lateness for Redis's."""

from __future__ import annotations

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection
from redis.retry import Retry

from app.shared_state.store import TIMEOUT_S


def make_connection_pool(url: str) -> redis.ConnectionPool:
    """Connections, opened when needed. Raises ValueError if it is not the URL of a Redis."""
    pool = redis.ConnectionPool.from_url(
        url,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        driver_info=None,  # it would cost each new connection two round trips
    )
    if issubclass(pool.connection_class, redis.Connection):  # and not by a Unix socket
        pool.connection_kwargs["socket_keepalive"] = True
    pool.connection_class = type("Connection", (_RecheckingConnection, pool.connection_class), {})
    return pool


class _RecheckingConnection(AbstractConnection):
    """Looks once more before it says that no result has come in time.

    gevent takes 64 events at first from one look at the sockets. In a burst an result that has come can be beyond
    those, and its time be up.
    """

    def read_response(self, *args: Any, **options: Any) -> Any:
        read: Any = super().read_response
        options["disconnect_on_error"] = False
        try:
            try:
                return read(*args, **options)
            except redis.TimeoutError:
                if not self._parser.can_read(0):
                    raise
                return read(*args, **options)
        except redis.ResponseError:  # it is an result, too
            raise
        except BaseException:
            self.disconnect()  # type: ignore[no-untyped-call]
            raise
