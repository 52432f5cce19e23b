"""The database and Redis: reachable or not, and why not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from app.config import Config
from app.database.database import Contended, DatabaseUnavailable, open_database
from app.doctor.finding import Finding, fault, ok

_READ_DATABASE = "Check that it runs, the host, user, password and name in DATABASE_URL, and its firewall."
_READ_REDIS = "Check that it runs, the host and password in REDIS_URL, and its firewall."
_REASONS = re.compile(
    r"Connection refused|Connection timed out|timeout expired|No route to host|Network is unreachable"
    r"|Name or service not known|Temporary failure in name resolution|No such file or directory"
    r"|password authentication failed|no password supplied|no pg_hba.conf entry|too many clients"
    r"|(?:database|role) \"[^\"]*\" does not exist|WRONGPASS|NOAUTH|NOPERM|certificate verify failed|[Tt]imeout"
)


def check_database(root: Path, config: Config) -> Iterator[Finding]:
    """Check that the database answers and can be written."""
    is_file = config.database_url.startswith("sqlite")
    if is_file and not (root / config.database_url.partition("///")[2]).exists():
        # Not made here, where it could become a file of root's.
        yield ok("database", "The ledger's file is created at the first start.")
        return
    database = open_database(config.database_url, root)
    kind = "SQLite" if is_file else "PostgreSQL"
    try:
        database.check()
    except Contended:
        yield ok("database", f"{kind} is busy with other writers, so it can be written.")
    except DatabaseUnavailable as error:
        yield fault("database", f"{kind} cannot be used ({_find_reason(error)}).", error.advice or _READ_DATABASE)
    else:
        yield ok("database", f"{kind} answers, and can be written.")
    finally:
        database.close()


def check_redis(config: Config) -> Iterator[Finding]:
    """Check that Redis answers, if there is one."""
    if not config.redis_url:
        return
    import redis  # here, as loading it takes time

    from app.shared_state.redis_connection import make_connection_pool

    client = redis.Redis(connection_pool=make_connection_pool(config.redis_url))
    host = urlsplit(config.redis_url).hostname or "its socket"
    try:
        client.ping()
    except redis.AuthenticationError:
        yield fault("redis", f"Redis at {host} refuses the password.", _READ_REDIS)
    except redis.RedisError as error:
        yield fault("redis", f"Redis at {host} does not answer ({_find_reason(error)}).", _READ_REDIS)
    else:
        yield ok("redis", f"Redis at {host} answers.")
    finally:
        client.close()


def _find_reason(error: BaseException) -> str:
    """Return the known words for what is wrong, from the error or what caused it: other texts could quote a password."""
    reason = str(error) if isinstance(error, DatabaseUnavailable) else type(error).__name__
    cause: BaseException | None = error
    while cause is not None:
        if found := _REASONS.search(str(cause)):
            return found[0]
        cause = cause.__cause__ or cause.__context__
    return reason
