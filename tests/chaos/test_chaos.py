"""`make chaos` and `make rolling` for a few seconds: that the tools work, and that nothing goes wrong in so short a time.

They are in one file, so that they do not run at the same time: each loads all processors.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys

import pytest

from chaos.killing.balance import Balance
from chaos.killing.upstream import BillingUpstream
from chaos.trace import ProcessorWaits
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


@pytest.mark.servers
@pytest.mark.parametrize("how", [[], ["--restart"]], ids=["reload", "restart"])
def test_nobody_notices_a_rolling_reload_or_restart(how: list[str]) -> None:
    if shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("nginx is not installed")
    command = [sys.executable, "-m", "chaos.rolling", "--streams", "20", "--seconds", "5", *how]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nobody noticed" in done.stdout


def test_only_the_time_in_which_a_worker_waited_for_a_processor_is_left_out() -> None:
    waits = ProcessorWaits()
    for at, waited in [(0, {1: 0.0, 2: 0.5}), (1, {1: 0.7, 2: 0.6}), (2, {1: 0.7, 3: 0.2}), (3, {3: 0.2})]:
        waits.note(at, waited)

    assert waits.between(0.5, 0.9) == 0.4  # not more than the time itself
    assert waits.between(0, 1) == 0.7
    assert round(waits.between(0.5, 1.5), 3) == 0.9
    assert waits.between(2.5, 2.9) == 0
    assert ProcessorWaits().between(0, 1) == 0


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
