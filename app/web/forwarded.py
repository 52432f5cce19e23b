"""Read from the headers of trusted proxies where a request came from, and whether it came by https."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


class TrustedProxies:
    """WSGI middleware that sets the address and scheme of each request as the visitor's browser knows them.

    Each proxy adds one entry to X-Forwarded-For, so the visitor's address is that many from the end; what a visitor
    puts into the header itself comes before it. No other header is read: not X-Forwarded-Host, not X-Forwarded-Ssl,
    not Forwarded.

    werkzeug's ProxyFix does not fit: it ignores a scheme that fewer proxies have stated than there are, takes "HTTPS"
    for another scheme than "https", and knows only the last entries of a list.

    Args:
        app: the application behind.
        proxies: TRUSTED_PROXIES, at least 1.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]], proxies: int) -> None:
        self._app = app
        self._proxies = proxies

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve a request."""
        forwarded_for = environ.get("HTTP_X_FORWARDED_FOR")
        if forwarded_for is not None:
            # Empty entries count, or a visitor's own entry would move to a proxy's place.
            entries = forwarded_for.split(",")
            # With fewer entries than proxies it is not known which proxy wrote them: the connection's address stays.
            if len(entries) >= self._proxies:
                environ["REMOTE_ADDR"] = entries[-self._proxies].strip()
        forwarded_proto = environ.get("HTTP_X_FORWARDED_PROTO")
        if forwarded_proto is not None and (scheme := self._find_scheme(forwarded_proto)):
            environ["wsgi.url_scheme"] = scheme
        return self._app(environ, start_response)

    def _find_scheme(self, forwarded_proto: str) -> str | None:
        """Return the scheme between the browser and the outermost proxy; None if no entry names one.

        Many proxies replace this header instead of adding to it, so it may have fewer entries than there are proxies:
        then the first counts. Of more, those at and before the outermost trusted proxy's place count, and one "https"
        among them is enough: a proxy further out, which nobody counted, has ended TLS. A visitor who makes "https" up
        harms nobody else, as a page of another origin cannot send this header.
        """
        entries = forwarded_proto.lower().split(",")
        outer = entries[: max(1, len(entries) - self._proxies + 1)]
        schemes = [scheme for entry in outer if (scheme := _SCHEMES.get(entry.strip().strip('"')))]
        return "https" if "https" in schemes else schemes[-1] if schemes else None
