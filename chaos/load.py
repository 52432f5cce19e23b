"""The load: visitors who come, ask, dawdle, and leave, each by dice of its own."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from chaos import requests
from chaos.book import LEFT, UNUSED, Book
from chaos.client import Manners, Visitor
from chaos.settings import Settings

# More than anything may take, so that what takes too long is measured.
_PATIENCE_BESIDES_S = 5.0


class Load:
    """All visitors, and what is open between them and the application."""

    def __init__(self, book: Book, settings: Settings, port: int) -> None:
        self.book = book
        self.open = 0
        self._seed = settings.seed
        self._patience_s = settings.request_timeout_s + _PATIENCE_BESIDES_S
        self._port = port

    async def keep_asking(self, visitors: int, until: float, *, well_behaved: bool = False) -> None:
        """Have so many visitors ask, one thing after another each, until a moment; then their last answers come."""
        name = "w" if well_behaved else "v"
        await asyncio.gather(*(self._visit(f"{name}{number}", until, well_behaved) for number in range(visitors)))

    async def ask_streams(self, visitors: int) -> None:
        """Have each of them ask for one stream, all at once."""
        await asyncio.gather(*(self._one_stream(f"z{number}") for number in range(visitors)))

    async def _visit(self, name: str, until: float, well_behaved: bool) -> None:
        rng = random.Random(f"{self._seed}:{name}")
        visitor = Visitor(self._port, patience_s=self._patience_s)
        count = 0
        await asyncio.sleep(rng.uniform(0.0, 0.5))
        while time.monotonic() < until:
            count += 1
            ask, message = requests.make(rng, f"{name}-{count}", self._port)
            manners = Manners() if well_behaved or ask.expects else _manners(rng)
            await self._note(visitor.ask(ask, message, manners), lambda ask=ask: self.book.asks.append(ask))
            if ask.end == UNUSED or ask.status == 503:  # told to come back, most do so too soon
                await asyncio.sleep(rng.uniform(0.1, 0.6))
            elif ask.end == LEFT or rng.random() < 0.1:
                visitor.close()
                await asyncio.sleep(rng.uniform(0.0, 0.3))
        visitor.close()

    async def _one_stream(self, name: str) -> None:
        rng = random.Random(f"{self._seed}:{name}")
        visitor = Visitor(self._port, patience_s=self._patience_s)
        ask, message = requests.make_stream(rng, f"{name}-1", self._port)
        await self._note(visitor.ask(ask, message, Manners()), lambda: self.book.asks.append(ask))
        visitor.close()

    async def _note(self, asking: Awaitable[None], append: Callable[[], None]) -> None:
        self.open += 1
        try:
            await asking
        finally:
            self.open -= 1
            append()


def _manners(rng: random.Random) -> Manners:
    rudely = rng.random() < 0.4
    kind = rng.random()
    if kind < 0.09:
        return Manners(leaves_after_s=rng.uniform(0.0, 3.0), leaves_rudely=rudely)
    if kind < 0.12:
        return Manners(leaves_after_s=rng.uniform(0.0, 0.02), leaves_rudely=rudely)
    if kind < 0.18:
        return Manners(leaves_after_bytes=rng.randint(1, 1500), leaves_rudely=rudely)
    if kind < 0.19:
        return Manners(sends=rng.uniform(0.1, 0.95), leaves_rudely=rudely)
    if kind < 0.24:
        return Manners(dawdles_s=rng.uniform(0.5, 3.0))
    return Manners()
