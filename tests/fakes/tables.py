"""Run one test over every row of a table."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import pytest


def each_row(
    names: str | tuple[str, ...], rows: Iterable[Any], *, ids: Iterable[str] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Like pytest.mark.parametrize, but in one test: the rows are its subtests, of which all that fail are named.

    They share the fixtures, so it is for tests that leave nothing behind which the next row could see. To build an
    application for each row takes several times as long as most requests. Only the fixture `upstream` is for each row
    as it was for the first: no row sees what another one has sent, or is given an answer that another one left.
    """
    columns = [name.strip() for name in names.split(",")] if isinstance(names, str) else [*names]
    table = [dict(zip(columns, row if len(columns) > 1 else (row,), strict=True)) for row in rows]
    names_of_rows = [" ".join(map(_name, row.values())) for row in table] if ids is None else [*ids]
    named = [*zip(names_of_rows, table, strict=True)]
    assert named, "a test of no rows would pass whatever happens"

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        # As decorators are stacked: every row here with every row there.
        function, inner = getattr(test, "_rows", (test, [("", {})]))
        product = [(f"{name} {more}".strip(), {**row, **own}) for name, row in named for more, own in inner]

        def run(*bound: Any, subtests: pytest.Subtests, **fixtures: Any) -> None:
            restore = getattr(fixtures.get("upstream"), "make_restore", lambda: _do_nothing)()
            for name, row in product:
                restore()
                with subtests.test(name):
                    function(*bound, **fixtures, **row)

        run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
        run.__dict__.update(test.__dict__, _rows=(function, product))
        own = inspect.signature(function).parameters
        asked = [*(each for name, each in own.items() if name not in product[0][1]), _SUBTESTS]
        run.__signature__ = inspect.Signature(asked)  # type: ignore[attr-defined]
        return run

    return decorate


def _do_nothing() -> None:
    """For what has nothing to restore."""


_SUBTESTS = inspect.Parameter("subtests", inspect.Parameter.KEYWORD_ONLY)


def _name(value: Any) -> str:
    return (value if isinstance(value, str) else repr(value))[:60]
