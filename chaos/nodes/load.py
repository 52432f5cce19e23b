"""Run callers that send one call after another, and record the answers."""

import asyncio
import json
import random
import re
import time
from dataclasses import dataclass
from itertools import count

from chaos.killing.load import ask

_PATIENCE_S = 45.0
FINE = {"answered", "streamed"}


@dataclass(frozen=True)
class Answer:
    """The result of one call, and its time."""

    asked_at: float
    ended_at: float
    what: str

    @property
    def is_fine(self) -> bool:
        return self.what in FINE


class Load:
    """Half of the calls are answered in one piece, half are streamed."""

    def __init__(self, port: int, seed: int) -> None:
        self.answers: list[Answer] = []
        self._port = port
        self._random = random.Random(seed)
        self._numbers = count(1)

    async def keep_asking(self, callers: int, until: float) -> None:
        """Ask until then, with so many at once, and wait for the last answers."""
        await asyncio.gather(*(self._keep_asking(until) for _ in range(callers)))

    async def _keep_asking(self, until: float) -> None:
        while time.monotonic() < until:
            asked_at = time.monotonic()
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    what = describe(await ask(self._port, next(self._numbers), self._random))
            except TimeoutError:
                what = "hung"
            except (OSError, asyncio.IncompleteReadError) as error:
                what = f"broken: {type(error).__name__}"
            self.answers.append(Answer(asked_at, time.monotonic(), what))
            if what not in FINE:
                await asyncio.sleep(0.2)  # as a client that read Retry-After


def describe(answer: bytes) -> str:
    """Return what an answer is, in a word or two."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1].decode() if head.startswith(b"HTTP/1.1 ") else "nothing"
    code = re.search(rb'"code": ?"(\w+)"', body)
    if status != "200":
        return f"{status} {code[1].decode() if code else ''}".strip()
    if b"text/event-stream" not in head:
        return "answered" if _is_whole(body) else "cut"
    if b'"done":true' in body:
        return "streamed"
    return f"stream ended: {code[1].decode()}" if code else "stream cut"


def _is_whole(body: bytes) -> bool:
    try:
        return bool(json.loads(body)["reply"])
    except (ValueError, KeyError):
        return False
