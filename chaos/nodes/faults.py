"""Inject faults into the site under load, and decide which answers each fault excuses."""

import asyncio
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass

from chaos.nodes.load import Answer
from chaos.nodes.site import Site
from chaos.run import say

# How long after a store is back a call may still meet what waits for it.
_RECOVERY_S = 10.0


@dataclass(frozen=True)
class Fault:
    """A fault, and the times at which it began and ended."""

    name: str
    began_at: float
    ended_at: float

    def excuses(self, answer: Answer) -> bool:
        return answer.asked_at <= self.ended_at and answer.ended_at >= self.began_at


async def break_things(site: Site, seconds: float) -> list[Fault]:
    """Kill a node and start it again, freeze each store for a while, and unplug a node if it has a cable."""
    faults = []
    await asyncio.sleep(0.15 * seconds)
    faults.append(await _kill_node(site))
    await asyncio.sleep(0.15 * seconds)
    node = site.nodes[1]
    node.start_again()
    await node.until_ready()
    say("the node is back")

    await asyncio.sleep(0.1 * seconds)
    began_at = time.monotonic()
    with site.redis.frozen():
        say("Redis is frozen")
        await asyncio.sleep(0.1 * seconds)
    # Each worker limits by itself meanwhile: no call may fail for it.
    faults.append(Fault("Redis frozen", began_at, began_at - 1))

    await asyncio.sleep(0.1 * seconds)
    began_at = time.monotonic()
    with site.postgres.frozen():
        say("PostgreSQL is frozen")
        await asyncio.sleep(0.1 * seconds)
    faults.append(Fault("PostgreSQL frozen", began_at, time.monotonic() + _RECOVERY_S))
    say("PostgreSQL is back")
    if site.nodes[1].place.link:
        faults.append(await _unplug_node(site, 0.1 * seconds))
    return faults


async def _unplug_node(site: Site, seconds: float) -> Fault:
    """Disconnect a node: packets to it are lost, and others notice by their own time limits."""
    await asyncio.sleep(_RECOVERY_S)
    began_at = time.monotonic()
    with site.nodes[1].place.unplugged():
        say("a node is unplugged")
        await asyncio.sleep(seconds)
    say("the node is plugged in again")
    return Fault("node unplugged", began_at, time.monotonic() + _RECOVERY_S)


async def _kill_node(site: Site) -> Fault:
    """A fault that breaks only what runs on the node at that moment. Later requests go to the other node."""
    server = site.nodes[1].server
    began_at = time.monotonic()
    for pid in server.pids():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    await asyncio.to_thread(server.stop)
    say("a node is killed")
    return Fault("node killed", began_at, time.monotonic())
