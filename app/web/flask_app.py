"""Skip work that Flask does for each request and a JSON API does not need: sessions, URL matching, async views."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from flask import Flask, Request, Response, request_tearing_down
from flask.sessions import NullSession, SessionInterface
from flask.typing import ResponseReturnValue
from werkzeug.routing import MapAdapter, Rule

from app.web.request_id import RequestState, current_request

_MAX_HOSTS = 64

_Hooks = tuple[list[Callable[..., Any]], list[Callable[..., Any]]]


class _Request(Request):
    def close(self) -> None:
        """Close the uploaded files, if any were read. If there are none, this saves six calls of werkzeug."""
        if "files" in self.__dict__:
            super().close()


class _NoSessions(SessionInterface):
    """Disables Flask's sessions. The sessions of the site's pages are in app/auth/sessions.py."""

    _none = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:  # noqa: ARG002
        return self._none


class _PostAdapter(MapAdapter):
    """The URL adapter of a POST whose rule has no variables and was found in a table."""

    found: Rule

    def match(self, *_: Any, **__: Any) -> Any:
        return self.found, {}


class _Rule(Rule):
    """A URL rule that compiles its builders, which only `url_for()` needs, at their first use."""

    # private API of werkzeug: compiling the builders of all rules takes 80 % of the time to create an application.
    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        compiled = super()._compile_builder

        def build(rule: Rule, **values: Any) -> tuple[str, str]:
            name = "_build_unknown" if append_unknown else "_build"
            setattr(rule, name, compiled(append_unknown).__get__(rule, None))
            built: tuple[str, str] = getattr(rule, name)(**values)
            return built

        return build


class WebApp(Flask):
    """A Flask application that makes fewer calls per request.

    It overrides only documented hooks, except where a comment says so.
    """

    request_class = _Request
    url_rule_class = _Rule
    app_ctx_globals_class = RequestState  # type: ignore[assignment]
    session_interface = _NoSessions()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function unchanged: no view is a coroutine, and Flask's check takes ten calls."""
        return func

    def preprocess_request(self) -> ResponseReturnValue | None:
        """Call the before-request hooks in Flask's order. Their list is built once per endpoint."""
        for hook in self._find_hooks()[0]:
            answer: ResponseReturnValue | None = hook()
            if answer is not None:
                return answer
        return None

    def process_response(self, response: Response) -> Response:
        """Call the after-request hooks in Flask's order. Their list is built once per endpoint."""
        for hook in self._find_hooks()[1]:
            response = hook(response)
        return response

    def dispatch_request(self) -> ResponseReturnValue:
        """Call the view of a POST directly, in half as many calls as Flask. Flask handles other methods."""
        request = current_request()
        if request.environ["REQUEST_METHOD"] != "POST" or request.routing_exception is not None:
            return super().dispatch_request()
        assert request.url_rule is not None and request.view_args is not None
        view: Callable[..., ResponseReturnValue] = self.ensure_sync(self.view_functions[request.url_rule.endpoint])
        return view(**request.view_args)

    def make_response(self, rv: ResponseReturnValue) -> Response:
        """Return a Response unchanged. Flask converts anything else."""
        return rv if isinstance(rv, Response) else super().make_response(rv)

    def do_teardown_request(self, *error: Any) -> None:
        """Run Flask's teardown only if a teardown function or a signal receiver is registered."""
        if self.teardown_request_funcs or request_tearing_down.receivers:
            super().do_teardown_request(*error)

    def _find_hooks(self) -> _Hooks:
        request = current_request()
        rule = request.url_rule
        endpoint = None if rule is None else rule.endpoint
        if endpoint not in self._hooks:
            assert not self.url_value_preprocessors, "url_value_preprocessors are not called here"
            names = [*request.blueprints, None]
            before: list[Callable[..., Any]] = [
                hook for name in reversed(names) for hook in self.before_request_funcs.get(name, ())
            ]
            after = [hook for name in names for hook in reversed(self.after_request_funcs.get(name, ()))]
            self._hooks[endpoint] = before, after
        return self._hooks[endpoint]

    @cached_property
    def _hooks(self) -> dict[str | None, _Hooks]:
        return {}

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Look up the rule of a POST to a URL without variables in a table. Flask matches all other requests."""
        if request is None:
            return super().create_url_adapter(request)
        environ = request.environ
        host = environ.get("HTTP_HOST", "")
        rule = self._posts.get(environ["PATH_INFO"]) if environ["REQUEST_METHOD"] == "POST" else None
        if rule is None or host not in self._hosts or "HTTP_UPGRADE" in environ:
            adapter = super().create_url_adapter(request)
            if len(self._hosts) >= _MAX_HOSTS:
                self._hosts.clear()
            self._hosts.add(host)  # Flask has accepted this host
            return adapter
        scheme, script = environ["wsgi.url_scheme"], environ.get("SCRIPT_NAME", "")
        adapter = _PostAdapter(self.url_map, host, script, "", scheme, environ["PATH_INFO"], "POST")
        adapter.found = rule
        return adapter

    @cached_property
    def _hosts(self) -> set[str]:
        return set()

    @cached_property
    def _posts(self) -> dict[str, Rule]:
        """The rules without variables that accept a POST, by path."""
        rules = self.url_map.iter_rules()
        return {rule.rule: rule for rule in rules if not rule.arguments and "POST" in (rule.methods or ())}
