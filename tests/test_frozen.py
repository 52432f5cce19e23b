from __future__ import annotations

from dataclasses import field, replace

import pytest

from app.frozen import frozen


@frozen(kw_only=True)
class Point:
    x: int
    y: int = 0
    tags: tuple[str, ...] = field(default=(), compare=False)


def test_it_compares_and_hashes_by_its_values():
    point = Point(x=1)
    assert point == replace(Point(x=2), x=1, tags=("a",)) != Point(x=1, y=1)
    assert hash(point) == hash(Point(x=1))


def test_it_has_no_other_attributes():
    with pytest.raises(AttributeError):
        Point(x=1).z = 2
