"""WebApp: Flask without what an API of JSON does not use, since Flask does it anew for each request."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from flask import Flask, Request
from flask.sessions import NullSession, SessionInterface
from werkzeug.routing import MapAdapter, Rule

from app.web.request_id import RequestState

_MAX_HOSTS = 64


class _Request(Request):
    # Asked for three times a request, and worked out from the endpoint each time.
    @cached_property
    def blueprints(self) -> list[str]:
        return super().blueprints


class _NoSessions(SessionInterface):
    """No session of Flask's own; those of the pages are in app/auth/sessions.py."""

    _none = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:  # noqa: ARG002
        return self._none


class _KnownPost(MapAdapter):
    """The URL adapter of a POST to an address without variables, which a look into a table matches."""

    found: Rule

    def match(self, *_: Any, **__: Any) -> Any:
        return self.found, {}


class WebApp(Flask):
    """A Flask application; what it overrides is there to be overridden, but for what the comments name."""

    request_class = _Request
    app_ctx_globals_class = RequestState  # type: ignore[assignment]
    session_interface = _NoSessions()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function: none here is a coroutine, and to find that out takes ten calls."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Match a POST to an address without variables by a table, and all else as Flask does."""
        if request is None:
            return super().create_url_adapter(request)
        environ = request.environ
        host = environ.get("HTTP_HOST", "")
        rule = self._posts.get(environ["PATH_INFO"]) if environ["REQUEST_METHOD"] == "POST" else None
        if rule is None or host not in self._hosts or "HTTP_UPGRADE" in environ:
            adapter = super().create_url_adapter(request)
            if len(self._hosts) >= _MAX_HOSTS:
                self._hosts.clear()
            self._hosts.add(host)  # Flask did not refuse it
            return adapter
        scheme, script = environ["wsgi.url_scheme"], environ.get("SCRIPT_NAME", "")
        known = _KnownPost(self.url_map, host, script, "", scheme, environ["PATH_INFO"], "POST")
        known.found = rule
        return known

    @cached_property
    def _hosts(self) -> set[str]:
        return set()

    @cached_property
    def _posts(self) -> dict[str, Rule]:
        """The rules of all addresses without variables that take a POST."""
        rules = self.url_map.iter_rules()
        return {rule.rule: rule for rule in rules if not rule.arguments and "POST" in (rule.methods or ())}
