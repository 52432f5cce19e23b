"""Parse DATABASE_URL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

# Not urlsplit(), which ends a password at its first `#` or `?`.
_URL = re.compile(
    r"(?P<kind>\w+)(?:\+\w+)?://"
    r"(?:(?P<user>[^:/]*)(?::(?P<password>[^@]*))?@)?"
    r"(?:\[(?P<ipv6>[^/?]+)\]|(?P<host>[^/:?]+))?(?::(?P<port>\d*))?"
    r"(?:/(?P<database>[^?]*))?(?:\?(?P<options>.*))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseUrl:
    """The parts of a database URL. Parts that are missing are None.

    Attributes:
        kind: the scheme without the driver, such as sqlite.
        database: the path of the file, or the name of the database on the server.
        options: the query parameters.
    """

    kind: str
    user: str | None
    password: str | None = field(repr=False)
    host: str | None
    port: int | None
    database: str | None
    options: Mapping[str, str]


def parse_url(url: str) -> DatabaseUrl:
    """Return the parts of a URL.

    Raises:
        ValueError: it is not a URL. The message does not quote it, as it may contain a password.
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError("no URL")
    parts = {name: None if part is None else unquote(part) for name, part in match.groupdict().items()}
    return DatabaseUrl(
        kind=match["kind"],
        user=parts["user"],
        password=parts["password"],
        host=match["ipv6"] or match["host"],
        port=int(match["port"]) if match["port"] else None,
        database=parts["database"],
        options=dict(parse_qsl(match["options"] or "")),
    )
