"""Check the formats of names, URLs and rates. Each check returns the problem with a text; None if it is valid."""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import ip_network
from urllib.parse import urlsplit

NAME_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
"""The names of prompts, schemas and tools."""

TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""The names of tenants. They have no slash: an account is "tenant/user", so two users could share one otherwise."""

MAX_PORT = 65_535

_ESCAPED = "in a password, write @ as %40, / as %2F, : as %3A, # as %23"
NO_DATABASE_URL = f"is not a URL such as sqlite:///instance/gatehouse.sqlite3 or postgresql://user:password@host/name; {_ESCAPED}"

MIN_SECRET_CHARS = 32
"""The minimum length of a SECRET_KEY that signs tokens and sessions."""

_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|[0-9a-f]*:[0-9a-f:.]*(%[a-z0-9]+)?", re.IGNORECASE)
_BIND = re.compile(r"unix:.+|fd://\d+|(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]*):(?P<port>\d{1,5})")
_RATE = re.compile(r"[1-9]\d{0,11}/(second|minute|hour|day)")
# Local servers name a model by the path of its file, Cloudflare @cf/…, Fireworks …#…, LM Studio and Ollama freely.
# But a comma separates two models. A quote is a mistake in .env, and so is a comment that was not removed.
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
    """Check where the server listens, in gunicorn's form."""
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
    """Check the secret that signs requests to the site's own webhook."""
    if _WEBHOOK_SECRET.fullmatch(value):
        return None
    return "must be whsec_ and Base64, such as the output of `openssl rand -base64 32`."


def check_usage_webhook(value: str) -> str | None:
    """Check the URL of the site's own webhook. Its data names users, so plain http is for this machine only."""
    if is_url(value, ("https",)) or (
        is_url(value) and urlsplit(value).hostname in ("localhost", "127.0.0.1", "::1")
    ):
        return None
    return "must be an https:// URL, or http://127.0.0.1 or http://localhost."


def check_network(value: str) -> str | None:
    """Check an IP address or network."""
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
    return f"{value!r} is not a valid model name; separate several by commas, or write none for an empty list."


def check_name(value: str) -> str | None:
    """Check the name of a prompt, schema or tool."""
    return None if _NAME.fullmatch(value) else f"{value!r} does not have the form [A-Za-z0-9_-]{{1,64}}."


def check_tenant(value: str) -> str | None:
    """Check the name of a tenant."""
    return None if TENANT.fullmatch(value) else "must be 1 to 64 letters, digits, dots, underscores or hyphens."


def check_header(value: str) -> str | None:
    """Check the name of a header, or a prefix of names that ends in an asterisk."""
    if _HEADER.fullmatch(value):
        return None
    return f"{value!r} is not the name of a header, such as X-Tenant, or a prefix of names, such as X-Trace-*."


def check_header_value(value: str) -> str | None:
    """Check the value of a header, such as a key. The returned problem contains no part of it."""
    if value.isascii() and all(char > " " for char in value):
        return None
    return "contains a space, a control character or one that is not ASCII."


def check_header_pairs(value: str) -> str | None:
    """Check headers in OpenTelemetry's form. The returned problem contains no part of them."""
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
