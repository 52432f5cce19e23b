"""Run callers that send one call after another, each as a new user, while workers are killed."""

import asyncio
import json
import os
import random
import signal
from contextlib import suppress
from itertools import count

from chaos.server import Gunicorn

_WORDS = [
    "I",
    "saw",
    "a",
    "big",
    "red",
    "dog",
    "run",
    "up",
    "the",
    "hill",
    "while",
    "children",
    "played",
    "in",
    "gardens",
]
_PATIENCE_S = 30.0


class Load:
    """Half of the calls are answered in one piece, half are streamed."""

    def __init__(self, port: int, seed: int) -> None:
        self.sent = 0
        self.kills = 0
        self._port = port
        self._random = random.Random(seed)
        self._numbers = count(1)
        self._is_over = False

    async def run(self, server: Gunicorn, *, callers: int, seconds: float, kill_every_s: float) -> None:
        """Send calls and kill workers for the given time, then wait for the open calls."""
        asking = [asyncio.create_task(self._keep_asking()) for _ in range(callers)]
        deadline = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(kill_every_s * self._random.uniform(0.5, 1.5))
            if workers := server.workers():
                os.kill(self._random.choice(workers), signal.SIGKILL)
                self.kills += 1
        self._is_over = True
        await asyncio.gather(*asking)

    async def _keep_asking(self) -> None:
        while not self._is_over:
            number = next(self._numbers)
            self.sent += 1
            with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):  # its worker was killed
                async with asyncio.timeout(_PATIENCE_S):
                    await ask(self._port, number, self._random)


async def ask(port: int, number: int, words: random.Random) -> bytes:
    """Send one call as a new user, and return the bytes of the answer."""
    path = "/api/chat/stream" if number % 2 else "/api/chat"
    text = " ".join(words.choices(_WORDS, k=words.randint(20, 400)))
    body = json.dumps({"message": f"{text} #{number}"}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address_of(number), 0))
    try:
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        return await reader.read()
    finally:
        writer.close()


def address_of(number: int) -> str:
    """Return the address from which a call is sent. Each address counts as a new user."""
    return f"127.{1 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
