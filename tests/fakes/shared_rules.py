"""URL rules that all applications of a process share: they have the same ones, and to make them took half of the time."""

from __future__ import annotations

from typing import Any

from werkzeug.routing import Map, Rule
from werkzeug.routing.matcher import StateMachineMatcher

from app.web.flask_app import WebApp

_rules: dict[tuple[Any, ...], Rule] = {}
_tables: dict[tuple[Any, ...], tuple[StateMachineMatcher, dict[Any, list[Rule]]]] = {}
"""By the rules that a map has, in their order; `_rules` keeps each of these alive, so that no other one gets its id."""


class SharedMap(Map):
    """A map that takes its tables from an earlier one with the same rules, when it is first asked for a match."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        self._added: list[Rule] = []
        super().__init__(*args, **settings)

    def add(self, rule: Rule) -> None:  # type: ignore[override]
        if rule.map is None:
            rule.bind(self)
        self._added.append(rule)
        self._remap = True

    def update(self) -> None:
        if not self._remap:
            return
        key = self.merge_slashes, *map(id, self._added)
        if key not in _tables:
            self._matcher = StateMachineMatcher(self.merge_slashes)
            self._rules_by_endpoint = {}
            for rule in self._added:
                self._matcher.add(rule)
                self._rules_by_endpoint.setdefault(rule.endpoint, []).append(rule)
            super().update()
            _tables[key] = self._matcher, self._rules_by_endpoint
        self._matcher, self._rules_by_endpoint = _tables[key]
        self._remap = False


def find_rule(text: str, *, methods: set[str], defaults: dict[str, Any] | None = None, **options: Any) -> Rule:
    """Return the rule that an earlier application made with the same options, or a new one."""
    key = text, frozenset(methods), *sorted((defaults or {}).items()), *sorted(options.items())
    if key not in _rules:
        _rules[key] = _make_rule(text, methods=methods, defaults=defaults, **options)
    return _rules[key]


_make_rule = WebApp.url_rule_class
