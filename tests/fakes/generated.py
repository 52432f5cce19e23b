"""How many cases a test generates: some in `make test`, all in `make thorough`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings

IS_THOROUGH = bool(os.environ.get("TEST_THOROUGH"))


def generated(cases: int, *, quickly: int, **others: Any) -> Callable[[Any], Any]:
    """Return a decorator for a test of hypothesis. It goes above `@given`; the cases are the same each time.

    Args:
        cases: how many `make thorough` generates.
        quickly: how many `make test` generates.
        **others: further settings of hypothesis.
    """
    bounded = settings(
        max_examples=cases if IS_THOROUGH else quickly, deadline=None, derandomize=True, database=None, **others
    )

    def decorate(test: Any) -> Any:
        return pytest.mark.generated(bounded(test))

    return decorate
