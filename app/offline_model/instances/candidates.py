"""Candidates for one value. Each is tried once, even if many items of an array need one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

MAX_TRIES = 400
"""Candidates that may fail before a part counts as unsatisfiable."""

_CHARS_PER_WORK = 50
_WORK_PER_MATCHED_CHAR = 2


class Candidates:
    """The candidates that match one schema, tried on demand."""

    def __init__(
        self, is_valid: Callable[[Any], bool], spend: Callable[[int], None], *, has_pattern: bool
    ) -> None:
        """Begin without candidates.

        Args:
            is_valid: returns whether a candidate matches.
            spend: is called with the amount of work before it is done.
            has_pattern: whether matching visits each character.
        """
        self._is_valid = is_valid
        self._spend = spend
        self._has_pattern = has_pattern
        self._untried: Iterator[Any] | None = None
        self._fitting: list[Any] = []

    @property
    def are_proposed(self) -> bool:
        """Whether there are candidates."""
        return self._untried is not None

    def propose(self, candidates: Iterable[Any]) -> None:
        """Replace the candidates."""
        self._untried = islice(candidates, MAX_TRIES)
        self._fitting = []

    def get(self, turn: int) -> Any:
        """Return the matching candidate with this index; after the last one, start again with the first.

        Raises:
            LookupError: no candidate matches.
        """
        for candidate in self._untried or ():
            length = len(candidate) if isinstance(candidate, str | list | dict) else 1
            work = length * _WORK_PER_MATCHED_CHAR if self._has_pattern else length // _CHARS_PER_WORK
            self._spend(2 + work)
            if self._is_valid(candidate):
                self._fitting.append(candidate)
                if len(self._fitting) > turn:
                    break
        if not self._fitting:
            raise LookupError
        return self._fitting[turn % len(self._fitting)]
