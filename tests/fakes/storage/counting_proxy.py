"""A proxy before a PostgreSQL server that counts round trips: how often a client sends after it was answered."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self


class CountingProxy:
    """Relays connections from a local port to a server's Unix socket."""

    def __init__(self, directory: Path) -> None:
        self._target = str(directory / ".s.PGSQL.5432")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.round_trips = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                was_answered = threading.Event()
                was_answered.set()
                for ends in ((client, server, was_answered, True), (server, client, was_answered, False)):
                    threading.Thread(target=self._relay, args=ends, daemon=True).start()

    def _relay(
        self, source: socket.socket, target: socket.socket, was_answered: threading.Event, is_question: bool
    ) -> None:
        with suppress(OSError), source, target:
            while data := source.recv(65_536):
                if not is_question:
                    was_answered.set()
                elif was_answered.is_set():
                    was_answered.clear()
                    self.round_trips += 1
                target.sendall(data)
