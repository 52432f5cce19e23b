"""Run one function for each job that arrives, until the worker has exited: the program of a side process.

It has no environment, no open file except its connection to the worker, and limits set in the kernel.
"""

from __future__ import annotations

import importlib
import math
import os
import resource
import socket
import sys
import time
import types
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

OUT_OF_MEMORY = 70
"""The exit status after a job that needed more memory than is allowed."""

IDLE_S = 60.0
"""How long a process waits for a job before it exits."""

# Libraries leak memory, and a process may not return freed memory to the system.
_MAX_JOBS = 200
_MAX_RESIDENT_BYTES = 96 * 1024 * 1024


def main(connection: socket.socket, target: str, memory_bytes: int, cpu_s: int) -> None:
    """Serve a function until there is no more work.

    Args:
        connection: the connection to the worker.
        target: `package.module:function`. The function takes and returns fields and data.
        memory_bytes: the maximum address space of this process.
        cpu_s: the maximum processor time of one job.
    """
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # a listening socket of gunicorn, for instance, is inherited
    _lower_priority()
    module, _, name = target.partition(":")
    run = getattr(importlib.import_module(module), name)
    with suppress(ValueError):  # macOS does not have this limit
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would contain what a visitor has sent
    with suppress(ConnectionError, TimeoutError):
        _serve(connection, run, cpu_s)


def _lower_priority() -> None:
    """Lower the priority below that of the workers, and be killed first if the machine runs out of memory."""
    os.nice(5)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _serve(connection: socket.socket, run: Callable[..., tuple[dict[str, object], bytes]], cpu_s: int) -> None:
    from app.runtime.side_process.messages import HEAD, decode_fields, encode_head

    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    is_last, jobs = False, 0
    while not is_last:
        connection.settimeout(IDLE_S)
        fields_length, data_length = HEAD.unpack(_receive(connection, HEAD.size))
        connection.settimeout(None)
        fields, data = decode_fields(_receive(connection, fields_length)), _receive(connection, data_length)
        # The kernel kills the process at the soft limit, which can be raised for each job.
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time()) + cpu_s, hard))
        fields, data = run(fields, data)
        jobs += 1
        is_last = jobs >= _MAX_JOBS or _count_resident_bytes() > _MAX_RESIDENT_BYTES
        connection.sendall(encode_head({"is_last": is_last, "answer": fields}, data))
        connection.sendall(data)
        del data


def _receive(connection: socket.socket, length: int) -> bytes:
    data = bytearray(length)
    with memoryview(data) as view:
        at = 0
        while at < length:
            received = connection.recv_into(view[at:])
            if not received:
                raise ConnectionResetError
            at += received
    return bytes(data)


def _count_resident_bytes() -> int:
    """Return the resident memory of this process; 0 if it is unknown, as without /proc."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * resource.getpagesize()


if __name__ == "__main__":
    # Replaces app/__init__.py, which imports the whole application.
    sys.modules["app"] = package = types.ModuleType("app")
    package.__path__ = [str(Path(__file__).parents[2])]
    to_worker = socket.socket(fileno=0)
    try:
        main(to_worker, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    except MemoryError:
        sys.exit(OUT_OF_MEMORY)
    finally:
        # The connection is closed by the exit only: if it closed earlier, the worker would kill this process, and not
        # get its exit status.
        to_worker.detach()
