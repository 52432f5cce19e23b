"""The goals of the measures, and whether a run reaches them."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.targets import NGINX, TUTORIAL


@dataclass(frozen=True)
class Limit:
    """A bound on a row: an absolute one, or, with `times`, on the ratio to that target in the same round."""

    bound: float
    times: str | None = None
    unit: str = ""
    at_least: bool = False

    def is_met(self, value: float) -> bool:
        """Return whether a value, or a ratio, is within the bound."""
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        return f"{sign} {self.bound:g} × {self.times}" if self.times else f"{sign} {self.bound:,g}{self.unit}"


@dataclass(frozen=True)
class Goal:
    """The bound that any good version reaches on a row, and the goal of this version."""

    row: str
    good: tuple[Limit, ...]
    aim: tuple[Limit, ...]


GOALS = (
    Goal("calls", (Limit(1400),), ()),
    Goal("statements", (Limit(6),), ()),
    Goal("chat32_cpu", (Limit(0.35, TUTORIAL),), (Limit(0.14, TUTORIAL), Limit(20, NGINX))),
    Goal("chat1_p50", (Limit(1.2, unit=" ms"),), (Limit(10, NGINX),)),
    Goal("long_cpu", (Limit(0.07, TUTORIAL),), (Limit(0.035, TUTORIAL),)),
    Goal("stream_cpu", (Limit(2.5, NGINX),), (Limit(1.6, NGINX),)),
    Goal("stream_ttft", (Limit(4, unit=" ms"),), (Limit(1.5, unit=" ms"),)),
    Goal("held", (Limit(256, at_least=True),), (Limit(1024, at_least=True),)),
    Goal("held_kib", (), (Limit(10, unit=" KiB"),)),
    Goal("embed256_cpu", (Limit(2, NGINX),), (Limit(1.05, NGINX),)),
    Goal("start_s", (Limit(1.5, unit=" s"),), (Limit(0.6, unit=" s"),)),
)


def verdict(limits: tuple[Limit, ...], value: float, ratios: Mapping[str, float | None]) -> str:
    """Return the bounds, each with "met" or a dash; "?" if the target of the comparison was not measured."""
    marks = []
    for limit in limits:
        measured = ratios.get(limit.times) if limit.times else value
        mark = "?" if measured is None else "met" if limit.is_met(measured) else "—"
        marks.append(f"{limit} {mark}")
    return ", ".join(marks)
