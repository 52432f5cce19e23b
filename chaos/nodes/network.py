"""Simulate several machines with network namespaces: one for each node, with a bridge to everything else."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from chaos.run import say

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Place:
    """Where a node runs.

    Attributes:
        address: its own.
        prefix: what runs a command there.
        link: the end of its cable, if it has one.
    """

    address: str = LOOPBACK
    prefix: tuple[str, ...] = ()
    link: str = ""

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        """Disconnect the node: packets are lost without an error."""
        _run("link", "set", self.link, "down")
        try:
            yield
        finally:
            _run("link", "set", self.link, "up")


@dataclass(frozen=True)
class Network:
    """All places, and the address at which the nodes reach the stores and the upstream."""

    address: str
    places: list[Place]


@contextmanager
def open_network(nodes: int) -> Iterator[Network]:
    """Make a namespace for each node, or use addresses of loopback where that is not allowed, which is said."""
    with ExitStack() as stack:
        try:
            yield _make(stack, nodes)
            return
        except _NotAllowed as error:
            stack.close()
            say(f"no network namespaces ({error}): all nodes are on loopback")
        yield Network(LOOPBACK, [Place()] * nodes)


class _NotAllowed(Exception):
    """Namespaces are not allowed here. The message has the reason."""


def _make(stack: ExitStack, nodes: int) -> Network:
    number = os.getpid()
    bridge, net = f"gh{number}", f"10.213.{number % 250}"
    _run("link", "add", bridge, "type", "bridge")
    stack.callback(_run, "link", "del", bridge)
    _run("address", "add", f"{net}.1/24", "dev", bridge)
    _run("link", "set", bridge, "up")
    places = []
    for node in range(1, nodes + 1):
        name, link, address = f"gh{number}-{node}", f"gh{number}v{node}", f"{net}.{10 + node}"
        _run("netns", "add", name)
        stack.callback(_run, "netns", "del", name)
        _run("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
        _run("link", "set", link, "master", bridge, "up")
        _run("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _run("-n", name, "link", "set", device, "up")
        places.append(Place(address, ("ip", "netns", "exec", name), link))
    return Network(f"{net}.1", places)


def _run(*words: str) -> None:
    if shutil.which("ip") is None:
        raise _NotAllowed("the program ip is not installed; Debian: apt-get install iproute2")
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise _NotAllowed(f"ip {' '.join(words)}: {done.stderr.strip()}")
