"""Greenlets that gevent's loop finds ready in the same turn, as the requests of a busy worker are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gevent
from gevent import socket


def start_together(
    step: Callable[..., Any],
    *arguments: Sequence[Any],
    then: Callable[[list[gevent.Greenlet]], object] = lambda _: None,
) -> list[Any]:
    """Run a step in a greenlet for each of these arguments. Return what each has returned or raised.

    Args:
        step: it is not called before all are ready.
        arguments: of each.
        then: is given the greenlets before they go on.
    """
    pairs = [socket.socketpair() for _ in arguments]

    def run(pair: Sequence[Any], values: Sequence[Any]) -> Any:
        socket.wait_read(pair[0].fileno())
        try:
            return step(*values)
        except Exception as error:
            return error

    greenlets = [gevent.spawn(run, pair, values) for pair, values in zip(pairs, arguments, strict=True)]
    gevent.sleep(0)
    for _, end in pairs:
        end.send(b"x")
    then(greenlets)
    gevent.joinall(greenlets)
    for pair in pairs:
        for end in pair:
            end.close()
    return [greenlet.value for greenlet in greenlets]
