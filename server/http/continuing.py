"""Ask a client that waits with its body for it (`Expect: 100-continue`) once the application reads it, not before."""

from __future__ import annotations

from typing import Any

from server.connections.arrival import ArrivedBody

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

# private API: _expected_100_continue of gunicorn's Request; guarded by tests/server/http/test_early_refusals.py


def continue_when_read(request: Any, sock: Any) -> None:
    """Send the 100 that a client waits for when the body is first read. Whoever is refused by the head gets no 100.

    gunicorn would send it before the application is called.
    """
    body = request.body
    if isinstance(body, ArrivedBody):  # whose client has not waited
        return
    request._expected_100_continue = False
    request.force_close()  # who gets an answer in place of the 100 may send the body or not: nobody knows what follows
    read = body.read

    def ask_and_read(size: int | None = None) -> bytes:
        del body.read
        arrival = getattr(body, "arrival", None)  # none with TLS
        if arrival is None or not arrival.is_answered:
            sock.send(_CONTINUE)
        data: bytes = read(size)
        return data

    body.read = ask_and_read
