"""Check the formats of names, URLs and rates. Each check returns what is wrong with a text; None if it is valid."""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import ip_network
from urllib.parse import urlsplit

NAME_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
"""The names of prompts, schemas and tools."""

TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""The names of tenants. With a slash, two users could have the same account: a slash parts tenant and user there."""

MAX_PORT = 65_535

_ESCAPED = "in a password, write @ as %40, / as %2F, : as %3A, # as %23"
NO_DATABASE_URL = f"is not a URL such as sqlite:///instance/gatehouse.sqlite3 or postgresql://user:password@host/name; {_ESCAPED}"

MIN_SECRET_CHARS = 32
"""The shortest SECRET_KEY that tokens and sessions are signed with."""

_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|[0-9a-f]*:[0-9a-f:.]*(%[a-z0-9]+)?", re.IGNORECASE)
_BIND = re.compile(r"unix:.+|fd://\d+|(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]*):(?P<port>\d{1,5})")
_RATE = re.compile(r"[1-9]\d{0,11}/(second|minute|hour|day)")
# Servers of files name a model by its path, Cloudflare as @cf/…, Fireworks as …#…, and LM Studio and Ollama as people do.
# But a comma parts two models, a quote is a mistake in .env, and so is a comment where nothing takes it out.
_MODEL = re.compile(r"(?![- ])(?!.* #)[^,\"'`]{1,200}(?<! )")
_NO_MODELS = ("true", "false", "yes", "no", "on", "off", "null", "[]", "{}")
_WEBHOOK_SECRET = re.compile(r"whsec_[A-Za-z0-9+/]{16,500}={0,2}")
_NAME = re.compile(NAME_PATTERN)
_HEADER = re.compile(r"[A-Za-z0-9_.-]{1,100}\*?")


def check_listening_host(value: str) -> str | None:
    """Check the address that the server listens on."""
    if _HOST.fullmatch(value):
        return None
    return "must be an address such as 127.0.0.1 or ::1, or 0.0.0.0 for all, without a port or brackets."


def check_bind(value: str) -> str | None:
    """Check where the server listens, as gunicorn has it."""
    found = _BIND.fullmatch(value)
    if found and int(found["port"] or 0) <= MAX_PORT:
        return None
    return "must be like 127.0.0.1:8000, [::1]:8000 or unix:/run/gatehouse/gunicorn.sock."


def check_rate(value: str) -> str | None:
    """Check an amount per second, minute, hour or day."""
    return None if _RATE.fullmatch(value) else "must have the form 60/minute (or second, hour, day)."


def check_redis_url(value: str) -> str | None:
    """Check the URL of a Redis server."""
    is_known = value.partition("://")[0] in ("redis", "rediss", "unix") and not value.endswith("://")
    if not is_known:
        return "must begin with redis://, rediss:// or unix://."
    try:
        parts = urlsplit(value)
        is_valid = parts.port != 0 and (parts.scheme == "unix" or re.fullmatch(r"(/\d*)?", parts.path) is not None)
    except ValueError:
        is_valid = False
    return None if is_valid else f"must be like redis://:password@127.0.0.1:6379/0; {_ESCAPED}."


def check_webhook_secret(value: str) -> str | None:
    """Check the signing secret of a webhook."""
    return None if _WEBHOOK_SECRET.fullmatch(value) else "must be whsec_ and Base64, as OpenAI shows it once."


def check_own_webhook_secret(value: str) -> str | None:
    """Check the secret by which the site's own webhook knows us."""
    if _WEBHOOK_SECRET.fullmatch(value):
        return None
    return "must be whsec_ and Base64, such as that of `openssl rand -base64 32`."


def check_usage_webhook(value: str) -> str | None:
    """Check the URL of the site's own webhook: what is sent names users, so only this machine has it unencrypted."""
    if is_url(value, ("https",)) or (
        is_url(value) and urlsplit(value).hostname in ("localhost", "127.0.0.1", "::1")
    ):
        return None
    return "must be an https:// URL, or http://127.0.0.1 or http://localhost."


def check_network(value: str) -> str | None:
    """Check a network or an address."""
    try:
        ip_network(value)
    except ValueError:
        return f"{value!r} is not an address, such as 10.0.0.5, or a network, such as 10.0.0.0/24."
    return None


def check_http_url(value: str) -> str | None:
    """Check the URL of a web server."""
    return None if is_url(value) else "must be an http:// or https:// URL."


def check_model(value: str) -> str | None:
    """Check the name of a model."""
    if value.isprintable() and _MODEL.fullmatch(value) and value.lower() not in _NO_MODELS:
        return None
    return f"{value!r} is not a valid name of a model; several are separated by commas, and none is no model."


def check_name(value: str) -> str | None:
    """Check the name of a prompt, schema or tool."""
    return None if _NAME.fullmatch(value) else f"{value!r} is not of the form [A-Za-z0-9_-]{{1,64}}."


def check_tenant(value: str) -> str | None:
    """Check the name of a tenant."""
    return None if TENANT.fullmatch(value) else "must be 1 to 64 letters, digits, dots, underscores or hyphens."


def check_header(value: str) -> str | None:
    """Check the name of a header, or the beginning of several with an asterisk behind it."""
    if _HEADER.fullmatch(value):
        return None
    return f"{value!r} is not the name of a header, such as X-Tenant, or a beginning of names, such as X-Trace-*."


def check_header_value(value: str) -> str | None:
    """Check what is sent in a header, such as a key; no problem contains any of it."""
    if value.isascii() and all(char > " " for char in value):
        return None
    return "contains a space, a control character or one that is not ASCII."


def check_header_pairs(value: str) -> str | None:
    """Check headers that are written as OpenTelemetry has them; no problem contains any of them."""
    pairs = [pair.partition("=") for pair in value.split(",")]
    is_valid = all(check_header(name.strip()) is None and sign for name, sign, _ in pairs)
    return None if is_valid else "must be name=value pairs, comma-separated."


def is_url(text: str, schemes: Collection[str] = ("http", "https")) -> bool:
    """Return whether a text is a URL with a valid host."""
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and _HOST.fullmatch(parts.hostname or "") is not None and parts.port != 0
    except ValueError:
        return False
