"""What all applications of a test process have in common, made once: their URL rules and their templates.

Almost every test builds an application. To make and bind 64 rules takes two thirds of the time of that, and to compile
the templates of a page longer than to answer it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from werkzeug.routing import Map, Rule

from app.web.flask_app import WebApp


class _RuleCache:
    """Makes equal rules once. A rule belongs to the first map that it was added to, and to others that are equal."""

    def __init__(self, rule_class: type[Rule]) -> None:
        self._class = rule_class
        self._made: dict[Any, Rule] = {}

    def __call__(self, rule: str, methods: set[str], **options: Any) -> Rule:
        key = rule, frozenset(methods), repr(options)
        if key not in self._made:
            self._made[key] = self._class(rule, methods=methods, **options)
        return self._made[key]


class _SharedMap(Map):
    """A map that takes what an earlier one made of the same rules."""

    _known: ClassVar[dict[tuple[Any, ...], Map]] = {}

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._added: list[Rule] = []
        self._is_made = False

    def add(self, rulefactory: Any) -> None:
        self._added += rulefactory.get_rules(self)
        self._is_made = False

    def update(self) -> None:
        if not self._is_made:
            self._is_made = True
            self._make()
        super().update()

    def _make(self) -> None:
        converters = frozenset(self.converters.items())
        key = self.host_matching, self.merge_slashes, converters, *map(id, self._added)
        if key not in self._known:
            self._known[key] = whole = Map(host_matching=self.host_matching, merge_slashes=self.merge_slashes)
            whole.converters |= self.converters
            for rule in self._added:
                whole.add(rule if rule.map is None else _copy(rule))
            whole.update()
        found = self._known[key]
        self._matcher, self._rules_by_endpoint, self._remap = found._matcher, found._rules_by_endpoint, False


def _copy(rule: Rule) -> Rule:
    copied = rule.empty()
    copied.provide_automatic_options = rule.provide_automatic_options
    return copied


class _CompiledTemplates(BytecodeCache):
    def __init__(self) -> None:
        self._code: dict[str, Any] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._code.get(f"{bucket.key}{bucket.checksum}")

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[f"{bucket.key}{bucket.checksum}"] = bucket.code


@pytest.fixture(scope="session", autouse=True)
def shared_parts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WebApp, "url_rule_class", _RuleCache(WebApp.url_rule_class))
        patch.setattr(WebApp, "url_map_class", _SharedMap)
        patch.setattr(WebApp, "jinja_options", {**Flask.jinja_options, "bytecode_cache": _CompiledTemplates()})
        yield
