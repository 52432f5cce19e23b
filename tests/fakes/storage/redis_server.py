"""A real redis-server of a test's own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.servers import free_port, is_listening, wait_until


class RedisServer:
    """Keeps nothing on disk, and can be frozen: its kernel still takes connections, but nobody answers."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, address: str) -> None:
        self._process = process
        self.port = port
        self.url = f"redis://{address}:{port}/0"
        import redis  # takes a fifth of a second, and few tests need it

        self.client = redis.Redis(address, port)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


@contextmanager
def redis_server(directory: Path, address: str = "127.0.0.1") -> Iterator[RedisServer]:
    """Start a server, or skip the test where none is installed; CI has to have one."""
    program = shutil.which("redis-server")
    if program is None:
        if "CI" in os.environ:
            pytest.fail("redis-server is not installed")
        pytest.skip("redis-server is not installed")
    port = free_port()
    # On all addresses it would need a port that no connection from 127.0.0.0/8 has used of late.
    where = ["--bind", address, "--port", str(port), "--protected-mode", "no"]
    command = [program, *where, "--save", "", "--appendonly", "no", "--dir", str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    server = RedisServer(process, port, address)
    try:
        wait_until(lambda: is_listening((address, port)), "redis-server listens")
        yield server
    finally:
        server.client.close()
        process.kill()
        process.wait()
