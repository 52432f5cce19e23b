"""`make chaos` for a few seconds: that the tool itself works, and that nothing goes wrong in so short a time."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest

from chaos.killing.balance import Balance
from chaos.killing.upstream import BillingUpstream
from tests.fakes.servers import ROOT


@pytest.mark.servers
def test_a_few_seconds_of_chaos_leave_nothing_hung_leaked_or_miscounted() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "chaos", "--seconds", "3", "--seed", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "checks passed" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("own", "status"), [({}, b"200 OK"), ({"maxTokens": 5}, b"400 Bad Request")])
def test_the_upstream_of_a_storm_refuses_what_openai_refuses(own: dict[str, int], status: bytes) -> None:
    async def ask() -> tuple[bytes, BillingUpstream]:
        upstream = BillingUpstream(1)
        await upstream.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
        body = {"model": "storm", "messages": [{"role": "user", "content": "Hi #1"}], "stream": True, **own}
        data = json.dumps(body).encode()
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data))
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
        await upstream.stop()
        return head, upstream

    head, upstream = asyncio.run(ask())

    assert head.startswith(b"HTTP/1.1 " + status)
    is_fine = not own
    assert bool(upstream.bills) == is_fine
    assert Balance([], {}, 0, upstream.refused).is_sound == is_fine
