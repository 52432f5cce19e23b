"""Read the visitor's address and scheme from the headers that trusted proxies set."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


class TrustedProxies:
    """WSGI middleware that sets the address and scheme of each request to those of the visitor's browser.

    Each proxy appends one entry to X-Forwarded-For. With n proxies, the visitor's address is the n-th entry from the end;
    entries that a visitor forges come before it. Besides this header, only X-Forwarded-Proto is read: not
    X-Forwarded-Host, X-Forwarded-Ssl or Forwarded.

    werkzeug's ProxyFix does not fit: it ignores X-Forwarded-Proto if it has fewer entries than there are proxies, does not
    treat "HTTPS" as "https", and reads only the last entries of a list.

    Args:
        app: the wrapped WSGI application.
        proxies: TRUSTED_PROXIES, at least 1.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]], proxies: int) -> None:
        self._app = app
        self._proxies = proxies

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Set the address and scheme in the WSGI environ, then call the application."""
        forwarded_for = environ.get("HTTP_X_FORWARDED_FOR")
        if forwarded_for is not None:
            # Empty entries count: without them, an entry that the visitor forged would take the place of a proxy's.
            entries = forwarded_for.split(",")
            # With fewer entries than proxies, it is unknown which proxy wrote them: keep the address of the connection.
            if len(entries) >= self._proxies:
                environ["REMOTE_ADDR"] = entries[-self._proxies].strip()
        forwarded_proto = environ.get("HTTP_X_FORWARDED_PROTO")
        if forwarded_proto is not None and (scheme := self._find_scheme(forwarded_proto)):
            environ["wsgi.url_scheme"] = scheme
        return self._app(environ, start_response)

    def _find_scheme(self, forwarded_proto: str) -> str | None:
        """Return the scheme between the browser and the outermost proxy; None if no entry names a scheme.

        Many proxies replace this header instead of appending to it. So it may have fewer entries than there are proxies:
        then the first entry decides. With more entries, those up to and including the one of the outermost trusted proxy
        decide, and one "https" among them is enough: a proxy in front of the counted ones has terminated TLS. A visitor
        who forges "https" affects no one else, as a page of another origin cannot send this header.
        """
        entries = forwarded_proto.lower().split(",")
        outer = entries[: max(1, len(entries) - self._proxies + 1)]
        schemes = [scheme for entry in outer if (scheme := _SCHEMES.get(entry.strip().strip('"')))]
        return "https" if "https" in schemes else schemes[-1] if schemes else None
