"""What the applications of a test process have in common: URL rules, templates and side processes, made once; a client.

Almost every test builds an application. To make and bind 64 rules takes two thirds of the time of that, to compile the templates of a page longer than to answer it, and to start a side process longer than its jobs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from werkzeug.routing import Map, Rule

from app.runtime.side_process import ProcessLimits, SideProcessPool
from app.runtime.side_process.process import SideProcess
from app.web.flask_app import WebApp
from tests.fakes.wire.closing_client import ClosingClient


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
        patch.setattr(WebApp, "test_client_class", ClosingClient)
        patch.setattr(WebApp, "jinja_options", {**Flask.jinja_options, "bytecode_cache": _CompiledTemplates()})
        yield


class _Stock:
    """The idle processes of closed applications, by their function and limits."""

    def __init__(self) -> None:
        self._idle: defaultdict[tuple[str, ProcessLimits], list[SideProcess]] = defaultdict(list)

    def take(self, target: str, limits: ProcessLimits) -> SideProcess:
        """Return an idle process for a pool that has none; if there is none here either, start one."""
        idle = self._idle[target, limits]
        while idle:
            process = idle.pop()
            if process.is_waiting():
                return process
            process.end()
        return SideProcess(target, limits)

    def close_pool(self, pool: SideProcessPool) -> None:
        """Keep the idle processes of a pool, which would kill them."""
        self._idle[pool._target, pool._limits] += pool._idle
        pool._idle.clear()

    def end(self) -> None:
        for idle in self._idle.values():
            for process in idle:
                process.end()


@pytest.fixture(scope="session")
def side_process_stock() -> Iterator[_Stock]:
    stock = _Stock()
    yield stock
    stock.end()


@pytest.fixture
def kept_side_processes(side_process_stock: _Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the side processes of this test's applications to the next test that asks for this, too.

    It is for tests of what a side process answers. A test of how one is started, limited or ended needs its own.
    """

    def close(pool: SideProcessPool) -> None:
        side_process_stock.close_pool(pool)

    monkeypatch.setattr("app.runtime.side_process.pool.SideProcess", side_process_stock.take)
    monkeypatch.setattr(SideProcessPool, "close", close)
