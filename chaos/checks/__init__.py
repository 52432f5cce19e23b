"""The checks of a run, one file for each kind of fault."""

from collections.abc import Callable

from chaos.checks import answers, attempts, calls, hanging, leaks, leaving, secrets, streams
from chaos.checks.check import Check
from chaos.log import Log
from chaos.settings import Settings
from chaos.trace import Trace

__all__ = ["Check", "all_of"]

_CHECKS: list[Callable[[Trace, Log, Settings], list[Check]]] = [
    hanging.checks,
    answers.checks,
    streams.checks,
    calls.checks,
    attempts.checks,
    leaving.checks,
    leaks.checks,
    secrets.checks,
]


def all_of(trace: Trace, log: Log, settings: Settings) -> list[Check]:
    """Return the results of all checks of a run."""
    return [check for checks in _CHECKS for check in checks(trace, log, settings)]
