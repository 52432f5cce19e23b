"""The load: clients that connect, send requests, read slowly and disconnect, each by its own random numbers."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from chaos import requests
from chaos.client import Client, ClientBehavior
from chaos.settings import Settings
from chaos.trace import LEFT, UNUSED, Trace

# Longer than any limit, so that the time of a request that exceeds one is measured.
_PATIENCE_BESIDES_S = 5.0


class Load:
    """All clients, and the number of their open requests."""

    def __init__(self, trace: Trace, settings: Settings, port: int) -> None:
        self.trace = trace
        self.open = 0
        self._seed = settings.seed
        self._patience_s = settings.request_timeout_s + _PATIENCE_BESIDES_S
        self._port = port

    async def keep_asking(self, clients: int, until: float, *, well_behaved: bool = False) -> None:
        """Run this many clients, each sending one request after another, until the given time; then await the last answers."""
        name = "w" if well_behaved else "v"
        await asyncio.gather(*(self._visit(f"{name}{number}", until, well_behaved) for number in range(clients)))

    async def ask_streams(self, clients: int) -> None:
        """Make each client open one stream, all at the same time."""
        await asyncio.gather(*(self._one_stream(f"z{number}") for number in range(clients)))

    async def _visit(self, name: str, until: float, well_behaved: bool) -> None:
        rng = random.Random(f"{self._seed}:{name}")
        client = Client(self._port, patience_s=self._patience_s)
        count = 0
        await asyncio.sleep(rng.uniform(0.0, 0.5))
        while time.monotonic() < until:
            count += 1
            request, message = requests.make(rng, f"{name}-{count}", self._port)
            behavior = ClientBehavior() if well_behaved or request.expects else _pick_behavior(rng)
            await self._note(
                client.ask(request, message, behavior),
                lambda request=request: self.trace.client_requests.append(request),
            )
            if request.end == UNUSED or request.status == 503:  # most clients retry too soon
                await asyncio.sleep(rng.uniform(0.1, 0.6))
            elif request.end == LEFT or rng.random() < 0.1:
                client.close()
                await asyncio.sleep(rng.uniform(0.0, 0.3))
        client.close()

    async def _one_stream(self, name: str) -> None:
        rng = random.Random(f"{self._seed}:{name}")
        client = Client(self._port, patience_s=self._patience_s)
        request, message = requests.make_stream(rng, f"{name}-1", self._port)
        await self._note(
            client.ask(request, message, ClientBehavior()), lambda: self.trace.client_requests.append(request)
        )
        client.close()

    async def _note(self, asking: Awaitable[None], append: Callable[[], None]) -> None:
        self.open += 1
        try:
            await asking
        finally:
            self.open -= 1
            append()


def _pick_behavior(rng: random.Random) -> ClientBehavior:
    rudely = rng.random() < 0.4
    kind = rng.random()
    if kind < 0.09:
        return ClientBehavior(leaves_after_s=rng.uniform(0.0, 3.0), leaves_rudely=rudely)
    if kind < 0.12:
        return ClientBehavior(leaves_after_s=rng.uniform(0.0, 0.02), leaves_rudely=rudely)
    if kind < 0.18:
        return ClientBehavior(leaves_after_bytes=rng.randint(1, 1500), leaves_rudely=rudely)
    if kind < 0.19:
        return ClientBehavior(sends=rng.uniform(0.1, 0.95), leaves_rudely=rudely)
    if kind < 0.24:
        return ClientBehavior(dawdles_s=rng.uniform(0.5, 3.0))
    return ClientBehavior()
