"""Run one test over every row of a table, or over a part of the rows."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet

from tests.fakes.generated import IS_THOROUGH
from tests.fakes.wire.closing_client import ClosingClient


def each_row(
    names: str | tuple[str, ...],
    rows: Iterable[Any],
    *,
    ids: Iterable[str] | None = None,
    quickly: Callable[..., bool] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Like pytest.mark.parametrize, but in one test: all rows are tested, and each that fails is reported as a subtest.

    They share the fixtures, so it is for tests that leave nothing behind which the next row could see. To build an
    application for each row takes several times as long as most requests. Only the fixture `upstream` is for each row
    as it was for the first: no row sees what another one has sent, or is given an answer that another one left.

    Args:
        names: the names of the columns, as for parametrize.
        rows: the rows: values, or tuples if there are several columns.
        ids: the names of the rows.
        quickly: returns whether a row, whose columns are its arguments, is tested in `make test`; by default each is.
            `make thorough` tests all rows.
    """
    columns = [name.strip() for name in names.split(",")] if isinstance(names, str) else [*names]
    table = [dict(zip(columns, row if len(columns) > 1 else (row,), strict=True)) for row in rows]
    names_of_rows = [" ".join(map(_name, row.values())) for row in table] if ids is None else [*ids]
    named = [*zip(names_of_rows, table, strict=True)]
    if quickly is not None and not IS_THOROUGH:
        named = [(name, row) for name, row in named if quickly(**row)]
    assert named, "a test of no rows would pass whatever happens"

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        # As decorators are stacked: every row here with every row there.
        function, inner = getattr(test, "_rows", (test, [("", {})]))
        product = [(f"{name} {more}".strip(), {**row, **own}) for name, row in named for more, own in inner]

        def run(*bound: Any, subtests: pytest.Subtests, **fixtures: Any) -> None:
            restore = getattr(fixtures.get("upstream"), "make_restore", lambda: _do_nothing)()
            for name, row in product:
                restore()
                try:
                    function(*bound, **fixtures, **row)
                except (Exception, pytest.fail.Exception, pytest.skip.Exception):
                    # Only now, as to report a row, and to capture its output, may take longer than the row itself.
                    with subtests.test(name):
                        raise
                finally:
                    ClosingClient.close_answers()

        run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
        run.__dict__.update(test.__dict__, _rows=(function, product))
        own = inspect.signature(function).parameters
        asked = [*(each for name, each in own.items() if name not in product[0][1]), _SUBTESTS]
        run.__signature__ = inspect.Signature(asked)  # type: ignore[attr-defined]
        return run if quickly is None else pytest.mark.generated(run)

    return decorate


def _do_nothing() -> None:
    """For what has nothing to restore."""


_SUBTESTS = inspect.Parameter("subtests", inspect.Parameter.KEYWORD_ONLY)


def _name(value: Any) -> str:
    return (value if isinstance(value, str) else repr(value))[:60]


def in_part(rows: Mapping[str, Any], *, by_default: Collection[str]) -> list[ParameterSet]:
    """Return the rows as parameters, of which those not in `by_default` are left to `make thorough`."""
    assert set(by_default) <= set(rows)
    return [_parameters(name, [row], is_thorough=name not in by_default) for name, row in rows.items()]


def further(*rows: Any) -> list[ParameterSet]:
    """Return these rows as parameters that are left to `make thorough`. A tuple has a value for each of several."""
    return [_parameters(_name(row), [row], is_thorough=True) for row in rows]


def crossed(
    first: Mapping[str, Any] | Iterable[Any],
    second: Mapping[str, Any] | Iterable[Any],
    *,
    by_default: Collection[str] | None = None,
) -> list[ParameterSet]:
    """Return each row of one table with each of another, the values of both side by side.

    Each row beside the first of the other table stays in `make test`; the other pairs are left to `make thorough`. A row
    that is a tuple has a value for each of several parameters, as in `further`.

    Args:
        first: one table.
        second: the other one.
        by_default: the names of those rows of the second table that stay in `make test`; by default all.
    """
    ones, others = (
        [*table.items()] if isinstance(table, Mapping) else [(_name(row), row) for row in table]
        for table in (first, second)
    )
    shown = {name for name, _ in others} if by_default is None else {*by_default}
    assert shown <= {name for name, _ in others}
    return [
        _parameters(
            f"{name}-{other_name}", [one, other], is_thorough=bool(at and other_at) or other_name not in shown
        )
        for at, (name, one) in enumerate(ones)
        for other_at, (other_name, other) in enumerate(others)
    ]


def _parameters(name: str, rows: list[Any], *, is_thorough: bool) -> ParameterSet:
    values = [value for row in rows for value in (row if isinstance(row, tuple) else (row,))]
    return pytest.param(*values, id=name, marks=pytest.mark.thorough if is_thorough else ())
