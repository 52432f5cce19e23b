"""Check the URLs and keys of the upstream, so that the start fails for values with which no request could succeed."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from app.config.formats import check_header_value, is_url

# A path that ends in one of these is a route. More path after /v1 alone is not a mistake: some gateways have it.
_ROUTE = re.compile(
    r"/(chat/completions|completions?|responses|embeddings|moderations|messages|batches|files|images/\w+|audio/\w+|rerank"
    r"|(?<=/v1/)(chat|models)(/.*)?|(?<=/v1/)(images|audio|realtime|assistants|threads|engines|edits)"
    r"|(?<=/api/)(chat|generate|tags))$",
    re.IGNORECASE,
)
_VERSION_TWICE = re.compile(r"/v1/v1$")
_VERSION = re.compile(r"[A-Za-z0-9._-]{1,40}")
_AZURE_API = re.compile(r"/openai(/.*)?$")
# Placeholders for a key in examples. Other servers may accept such a word as the key; OpenAI never does.
_PLACEHOLDER = re.compile(
    r".*(\.\.\.|your[-_]|[-_]here$|change[-_]?me|replace[-_]|placeholder|insert[-_]).*|(sk-)?(proj-)?[x*]{3,}"
    r"|none|null|undefined|empty|true|false|todo",
    re.IGNORECASE,
)
_PAGES = ("platform.openai.com", "openai.com", "www.openai.com", "chat.openai.com", "chatgpt.com")


def check_base_url(value: str) -> str | None:
    """Check OPENAI_BASE_URL."""
    url, version = split_version(value)
    if problem := _check_url(url):
        return problem
    parts = urlsplit(url)
    host, path = parts.hostname or "", parts.path.rstrip("/")
    if version and (is_openai(url) or _is_azure(host)):
        return "must not contain an api-version for this host: remove it."
    if host in _PAGES:
        return "is the address of a page; OpenAI's API is at https://api.openai.com/v1 (or leave it unset)."
    if found := _ROUTE.search(path):
        return f"ends in a route, {found[0]}: remove it, as each request adds its own."
    if "//" in parts.path:
        return "has two slashes in a row in its path."
    if _VERSION_TWICE.search(path):
        return "ends in /v1 twice."
    if is_openai(value) and (parts.scheme != "https" or path != "/v1"):
        return f"must be https://{host}/v1 for OpenAI (or leave it unset)."
    if _is_azure(host) and path != "/openai/v1":
        return f"must be https://{host}/openai/v1 for Azure; or set AZURE_OPENAI_ENDPOINT=https://{host} instead."
    return None


def check_azure_endpoint(value: str) -> str | None:
    """Check AZURE_OPENAI_ENDPOINT."""
    if problem := _check_url(value):
        return problem
    parts = urlsplit(value)
    path = parts.path.rstrip("/")
    if (parts.hostname or "").endswith("openai.com"):
        return "is not an Azure resource; unset it to use OpenAI."
    if (found := _AZURE_API.search(path) or _ROUTE.search(path)) or (_is_azure(parts.hostname or "") and path):
        extra = found[0] if found else path
        return f"must not end in {extra}: only the resource, such as https://example.openai.azure.com."
    return None


def check_azure_version(value: str) -> str | None:
    """Check AZURE_OPENAI_API_VERSION."""
    is_version = re.fullmatch(r"\d{4}-\d{2}-\d{2}(-preview)?", value)
    return None if is_version else "must be a date such as 2024-10-21 or 2025-03-01-preview."


def split_version(url: str) -> tuple[str, str]:
    """Split a base URL from its `?api-version=…`, which Azure gateways require behind each path; "" if there is none."""
    base, _, version = url.partition("?api-version=")
    return (base, version) if _VERSION.fullmatch(version) else (url, "")


def check_key(value: str) -> str | None:
    """Check an API key of the upstream. The returned problem contains no part of it."""
    if problem := check_header_value(value):
        return problem
    if re.search(r"[\"'`\\;,<>{}]|^\$|^OPENAI_", value):
        return "contains a quote, a comma or another character that no key has: write only the key."
    return None


def is_placeholder(key: str) -> bool:
    """Return whether a key is a placeholder from an example."""
    return _PLACEHOLDER.fullmatch(key) is not None


def is_openai(url: str) -> bool:
    """Return whether a base URL is OpenAI's own, as an empty one is."""
    host = (urlsplit(url).hostname or "") if is_url(url) else ""
    return not url or host == "api.openai.com" or host.endswith(".api.openai.com")


def is_azure(url: str) -> bool:
    """Return whether a base URL is Azure's."""
    return _is_azure((urlsplit(url).hostname or "") if is_url(url) else "")


def _check_url(value: str) -> str | None:
    if not value.lower().startswith(("http://", "https://")):
        return "must begin with http:// or https://."
    if not is_url(value) or re.search(r"[\s<>{}\"'\\,;]", value):
        return "must be an http:// or https:// URL of a server."
    if "?" in value or "#" in value:
        return "must not have a fragment (#…), or a query (?…) other than ?api-version=…."
    if "@" in urlsplit(value).netloc:
        return "must not have a user or password (user:password@…): the key goes into OPENAI_API_KEY."
    return None


def _is_azure(host: str) -> bool:
    return host.endswith(".openai.azure.com")
