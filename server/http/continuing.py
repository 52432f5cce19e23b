"""Send "100 Continue" to a client with `Expect: 100-continue` only when the application reads the body."""

from __future__ import annotations

from typing import Any

from server.connections.arrival import ArrivedBody

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

# private API: _expected_100_continue of gunicorn's Request; guarded by tests/server/http/test_early_refusals.py


def continue_when_read(request: Any, sock: Any) -> None:
    """Send the 100 that a client expects when the body is first read. A request refused by its head gets no 100.

    gunicorn would send it before it calls the application.
    """
    body = request.body
    if isinstance(body, ArrivedBody):  # the client did not wait for the 100
        return
    request._expected_100_continue = False
    request.force_close()  # without a 100, the client may send the body or not, so what follows is undefined
    read = body.read

    def continue_and_read(size: int | None = None) -> bytes:
        del body.read
        arrival = getattr(body, "arrival", None)  # none with TLS
        if arrival is None or not arrival.is_answered:
            sock.send(_CONTINUE)
        data: bytes = read(size)
        return data

    body.read = continue_and_read
