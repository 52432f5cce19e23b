"""Check whether Redis answers and can be written, and why not."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from app.cli.doctor.clock import judge_clock
from app.cli.doctor.finding import Finding, fault, ok, warning
from app.cli.doctor.reasons import find_reason
from app.config import Config

if TYPE_CHECKING:
    import redis

_CHECK_SERVER = "Check that it runs, its host and port in REDIS_URL, and its firewall."
_PROBE = "gatehouse:doctor"


def check_redis(config: Config) -> Iterator[Finding]:
    """Check that Redis answers, can be written and does not evict entries, if the settings name one."""
    if not config.redis_url:
        return
    import redis  # imported here, because loading it takes time

    from app.storage.shared_state.redis_connection import make_connection_pool

    client = redis.Redis(connection_pool=make_connection_pool(config.redis_url))
    parts = urlsplit(config.redis_url)
    name = f"Redis at {parts.hostname}:{parts.port or 6379}" if parts.hostname else f"Redis at {parts.path}"
    try:
        client.ping()
        _try_to_write(client)
        seconds, _ = client.time()  # type: ignore[misc]
    except redis.RedisError as error:
        yield _judge(name, parts, error)
    else:
        yield ok("redis", f"{name} answers, and can be written.")
        yield judge_clock(time.time() - seconds, "Redis'")
        yield from _check_eviction(name, client)
    finally:
        client.close()


def _try_to_write(client: redis.Redis) -> None:
    """Write with a script, as the server does. A replica, full memory or missing permissions make it fail."""
    client.eval("redis.call('SET', KEYS[1], '', 'PX', 1000) return redis.call('GET', KEYS[1])", 1, _PROBE)


def _check_eviction(name: str, client: redis.Redis) -> Iterator[Finding]:
    import redis

    try:
        memory: Any = client.info("memory")
    except redis.RedisError:  # a user without permission for INFO
        return
    policy = str(memory.get("maxmemory_policy", "noeviction"))
    if memory.get("maxmemory") and policy != "noeviction":
        yield warning(
            "redis",
            f"{name} evicts entries when its memory is full (maxmemory-policy {policy}).",
            "Set maxmemory-policy noeviction; otherwise, counts of limits and reservations can be lost.",
        )


def _judge(name: str, parts: SplitResult, error: redis.RedisError) -> Finding:
    """Explain an error. The server's own texts reveal the reason. They contain no secret, but are not shown."""
    text = str(error).lower()
    if parts.hostname and text in ("connection not ready", "connection closed by server"):
        text += _read_greeting(parts)
    for words, sentence, hint in _KNOWN:
        if words in text:
            return fault("redis", f"{name} {sentence}.", hint)
    reason = find_reason(error)
    if type(error).__name__ == "InvalidResponse" or "protocol error" in text:
        return fault("redis", f"The server at {name.removeprefix('Redis at ')} is not Redis.", _CHECK_SERVER)
    if parts.scheme == "rediss" and "certificate verify failed" in text:
        return fault(
            "redis",
            f"The certificate of {name} is not valid ({reason}).",
            "Renew it, use the host name in it, or specify its authority: rediss://…?ssl_ca_certs=/path/to/ca.pem.",
        )
    if parts.scheme == "rediss" and reason in ("Timeout", "timeout", "WRONG_VERSION_NUMBER"):
        return fault(
            "redis", f"{name} does not answer with TLS ({reason}).", "Without TLS, REDIS_URL begins with redis://."
        )
    if parts.scheme == "redis" and reason in ("Connection closed by server", "Connection reset by peer"):
        return fault(
            "redis",
            f"{name} closes the connection at once.",
            "If it requires TLS, REDIS_URL begins with rediss://.",
        )
    return fault("redis", f"{name} does not answer ({reason}).", _CHECK_SERVER)


def _read_greeting(parts: SplitResult) -> str:
    """Return the text that the server sends before any request: the reason why it refuses the connection."""
    try:
        with socket.create_connection((parts.hostname, parts.port or 6379), 1) as connection:
            connection.settimeout(1)
            return connection.recv(1_000).decode("ascii", "replace").lower()
    except OSError:
        return ""


_CHECK_LOGIN = "Check the user and the password in REDIS_URL: redis://user:password@host:port/0."
_KNOWN = (
    (
        "without any password configured",
        "has no password, and REDIS_URL has one",
        "Remove it from REDIS_URL, or set requirepass at the server.",
    ),
    ("authentication required", "requires a password, and REDIS_URL has none", _CHECK_LOGIN),
    ("invalid username-password", "refuses the password", _CHECK_LOGIN),
    ("invalid password", "refuses the password", _CHECK_LOGIN),
    (
        "db index is out of range",
        "has no database with that number",
        "Correct the number at the end of REDIS_URL, which is usually 0, or raise `databases` at the server.",
    ),
    (
        "no permissions",
        "does not let the user of REDIS_URL write",
        "Allow it all commands on keys that begin with gatehouse: (ACL SETUSER).",
    ),
    (
        "read only replica",
        "is a read-only replica",
        "Set REDIS_URL to the primary.",
    ),
    (
        "link with master is down",
        "is a read-only replica whose primary is unavailable",
        "Set REDIS_URL to the primary.",
    ),
    (
        "command not allowed when used memory",
        "is full",
        "Raise maxmemory there. Gatehouse's entries all expire.",
    ),
    (
        "max number of clients reached",
        "has too many connections",
        "Raise maxclients there, or start fewer workers.",
    ),
    ("loading the dataset", "is still loading its data", "Wait until it has started."),
    (
        "stop-writes-on-bgsave-error",
        "refuses writes, because it cannot save to its disk",
        "Free space on its disk, or set save '': Gatehouse's data in Redis may be lost.",
    ),
    (
        "protected mode",
        "accepts connections from its own machine only (protected mode)",
        "Set a password there (requirepass), and add it to REDIS_URL.",
    ),
)
