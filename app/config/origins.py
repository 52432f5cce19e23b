"""Normalize and check origins of pages and host names, as browsers write them."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from app.config.formats import MAX_PORT
from app.config.parsing import parse_list

_WEB_PORTS = {"http": 80, "https": 443}
_ORIGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#@:\[\]\\\s]*|\[[^\]]*\])(?::(\d{1,5}))?")
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
# Hosts of apps and extensions: capacitor://localhost, chrome-extension://<id>, app://. and app://- .
_OTHER_NAME = re.compile(r"[A-Za-z0-9._~-]+")
# Schemes that are no page's origin, or the same for every page; each with the scheme that was probably meant.
_NOT_OF_PAGES = {"ws": "http", "wss": "https", "ftp": "https", "file": "", "data": "", "blob": "", "about": ""}
# Letters that browsers preserve, but Python's older standard of international names replaces.
_DISPUTED = set("ßς\u200c\u200d")


def parse_origins(text: str) -> tuple[str, ...]:
    """Parse a list of origins into the form that browsers send: lower case, no final slash, no default port, punycode.

    With the scheme of an app, Chromium sends the host in lower case and WebKit does not: both forms are allowed.
    """
    origins: dict[str, None] = {}
    for item in parse_list(text):
        origin = _normalize(item)
        origins[origin] = None
        if _ORIGIN.fullmatch(origin):
            origins[origin.lower()] = None
    return tuple(origins)


def parse_hosts(text: str) -> tuple[str, ...]:
    """Parse a list of host names into the form that browsers send. A port is preserved, even a default one."""
    return tuple(
        _normalize(f"http://{item}").removeprefix("http://") + ":80" * item.endswith(":80")
        for item in parse_list(text)
    )


def check_origin(value: str) -> str | None:
    """Check an item of ALLOWED_ORIGINS. If it is invalid, suggest the origin that was probably meant."""
    if value == "*":
        return "* is not allowed; list each origin."
    if value == "null":
        return "null is the origin of any sandboxed frame or local file; serve the page from a web server instead."
    if _is_origin(value):
        return None
    nearest = _find_nearest(value)
    hint = f"; did you mean {nearest}?" if nearest else " such as https://www.example.com (no path, no wildcard)."
    return f"{_hide_user(value)!r} is not an origin{hint}"


def check_host(value: str) -> str | None:
    """Check an item of TRUSTED_HOSTS. If it is invalid, suggest the host that was probably meant."""
    origin = f"http://{value}"
    if _is_origin(origin.removesuffix(":80")):
        return None
    nearest = _find_nearest(f"{value.rstrip('/')}/" if "://" in value else origin)
    hint = f"; did you mean {urlsplit(nearest).netloc}?" if nearest else " such as chat.example.com (no wildcard)."
    return f"{_hide_user(value)!r} is not a host name{hint}"


def _is_origin(value: str) -> bool:
    """Return whether a text is an origin exactly as a browser writes it."""
    found = _ORIGIN.fullmatch(value)
    if found is None or _normalize(value) != value or found[1] in _NOT_OF_PAGES:
        return False
    if found[3] is not None and not 0 < int(found[3]) <= MAX_PORT:
        return False
    host = found[2]
    if host.startswith("["):
        return _write_ipv6(host) is not None
    if found[1] not in _WEB_PORTS:
        return _OTHER_NAME.fullmatch(host) is not None
    return _NAME.fullmatch(host) is not None and not _is_broken_ipv4(host)


def _normalize(text: str) -> str:
    """Return an origin as browsers write it. A text that is not an origin loses at most its final slash."""
    text = text.removesuffix("/") if text.count("/") == 3 else text
    found = _ORIGIN.fullmatch(text)
    if found is None:
        return text
    scheme, host, port = found[1].lower(), found[2], found[3]
    if host.startswith("["):
        host = _write_ipv6(host) or host
    elif scheme in _WEB_PORTS:
        host = _write_name(host)
    is_default = port is not None and int(port) == _WEB_PORTS.get(scheme)
    return f"{scheme}://{host}" + (f":{int(port)}" if port is not None and not is_default else "")


def _write_name(host: str) -> str:
    if host.isascii() or _DISPUTED & set(host):
        return host.lower()
    try:
        return host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return host.lower()


def _write_ipv6(host: str) -> str | None:
    try:
        address = ipaddress.IPv6Address(host[1:-1])
    except ValueError:
        return None
    if address.scope_id is not None:
        return None
    if (ipv4 := address.ipv4_mapped) is not None:
        return f"[::ffff:{int(ipv4) >> 16:x}:{int(ipv4) & 0xFFFF:x}]"
    return f"[{address.compressed}]"


def _is_broken_ipv4(host: str) -> bool:
    """Return whether a browser would treat a host as an IPv4 address and rewrite it: 127.1, 010.0.0.1."""
    last = host.rstrip(".").rpartition(".")[2]
    if not (last.isdigit() or last.startswith("0x")):
        return False
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return True
    return False


def _hide_user(value: str) -> str:
    """Return a text without a user and password, because the error is logged."""
    return re.sub(r"[^/\s]*@", "…@", value)


def _find_nearest(value: str) -> str | None:
    """Return the origin that was probably meant, if one can be guessed."""
    text = value.strip().strip("\"'").replace("\\", "/")
    first = re.split(r"[\s;|]+", text)[0]
    if "://" not in first:
        is_local = first.startswith(("localhost", "127.", "[::1]"))
        first = f"{'http' if is_local else 'https'}://{first.lstrip('/')}"
    scheme, _, rest = first.partition("://")
    scheme = _NOT_OF_PAGES.get(scheme.lower(), scheme)
    authority = re.split(r"[/?#]", rest)[0].rpartition("@")[2]
    nearest = _normalize(f"{scheme}://{authority}")
    return nearest if nearest != value and _is_origin(nearest) else None
