"""Check whether anything grows: what each worker holds when idle, after each round of load."""

import asyncio
import time
from collections.abc import Sequence

from chaos.nodes.load import Load
from chaos.nodes.site import Site
from chaos.run import say
from chaos.server import vitals
from chaos.trace import Vitals

_QUIET_S = 8.0
# What may come and go without being a leak: a thread of a pool, a connection of one, freed memory that is kept.
_MORE_FILES, _MORE_THREADS, _MORE_KIB = 6, 10, 16 * 1024
# The pools of the stores open a connection when there is none free, so they fill over the first rounds, each worker's as
# chance has it. Afterwards half of that is allowed, as a leak has half the time.
_MORE_FILES_LATER = 3
_MOST_IN_POOLS = 16
_MORE_MEMORY = 1.1


async def soak(
    site: Site, load: Load, *, callers: int, seconds: float, rounds: int, upstream_port: int
) -> list[str]:
    """Load the site in so many rounds, and return what grew after the first of them."""
    seen: list[list[Vitals]] = []
    for number in range(1, rounds + 1):
        await load.keep_asking(callers, time.monotonic() + seconds / rounds)
        await asyncio.sleep(_QUIET_S)
        seen.append([each for node in site.nodes for each in vitals(node.server.workers(), upstream_port)])
        say(f"round {number} of {rounds}: {len(load.answers)} calls; {_describe(seen[-1])}")
    return find_growth(seen[0], seen[(len(seen) - 1) // 2], seen[-1])


def find_growth(before: Sequence[Vitals], between: Sequence[Vitals], after: Sequence[Vitals]) -> list[str]:
    """Return which workers hold more than before, or are no longer there.

    Args:
        before: what each held after the first round.
        between: after half of them.
        after: after the last.
    """
    now = {each.pid: each for each in after}
    files = {each.pid: each.files for each in between}
    found = []
    for was in before:
        later = now.get(was.pid)
        if later is None:
            found.append(f"worker {was.pid} is gone")
            continue
        half_way = files.get(was.pid, was.files)
        has_filled_pools = later.files <= min(half_way + _MORE_FILES_LATER, was.files + _MOST_IN_POOLS)
        if later.files > was.files + _MORE_FILES and not has_filled_pools:
            found.append(f"worker {was.pid}: {was.files} files open, then {half_way}, then {later.files}")
        if later.threads > was.threads + _MORE_THREADS:
            found.append(f"worker {was.pid}: {was.threads} threads, then {later.threads}")
        if later.pss_kib > was.pss_kib * _MORE_MEMORY + _MORE_KIB:
            found.append(f"worker {was.pid}: {was.pss_kib // 1024} MiB, then {later.pss_kib // 1024}")
    return found


def _describe(workers: Sequence[Vitals]) -> str:
    files, threads, mib = (
        "/".join(str(value) for value in values)
        for values in (
            [each.files for each in workers],
            [each.threads for each in workers],
            [each.pss_kib // 1024 for each in workers],
        )
    )
    return f"files {files}, threads {threads}, MiB {mib}"
