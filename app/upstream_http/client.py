"""The HTTP client that the OpenAI SDK stands on: an `httpx2.Client` reduced to what one API needs.

A general client spends most of a small call's time on what is not used here: redirects, cookies, auth
flows, mounts, header merging and an HTTP parser in Python. docs/performance.md has the figures. TLS
verification, proxies and timeouts are kept. It also does what the general one cannot: an exchange's deadline
covers the whole call however slowly bytes drip in, and waiting can be interrupted and taken up again, which
is what heartbeats to a waiting browser need.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httptools
import httpx2

from app.upstream_http.connection import Connection, ConnectionEnded
from app.upstream_http.connection_pool import ConnectionPool
from app.upstream_http.deadline import Exchange, Tick, current_exchange

# How soon the end of a kept connection that the upstream had closed shows, the way there and back included.
_ENDS_AT_ONCE_S = 0.5


class UpstreamClient(httpx2.Client):
    """An `httpx2.Client` for one origin; every request runs as the `current_exchange`."""

    def __init__(self, base_url: str, *, connect_timeout_s: float) -> None:
        super().__init__(trust_env=False)
        self._pool = ConnectionPool(httpx2.URL(base_url), connect_timeout_s=connect_timeout_s)

    def build_request(  # type: ignore[override]
        self,
        method: str,
        url: str,
        *,
        headers: list[tuple[str, str]],
        content: bytes | None = None,
        params: Any = None,
        **form: Any,
    ) -> httpx2.Request:
        """Make a request without merging anything: the SDK gives a whole URL and all headers.

        Args:
            form: `data` and `files`, where a file is uploaded; that is held in memory as a whole.
        """
        # A compressed answer would cost more to unpack than its bytes cost to move.
        headers.append(("Accept-Encoding", "identity"))
        files = form.get("files")
        if files is None:
            return httpx2.Request(method, url, params=params, headers=headers, content=content)
        request = httpx2.Request(method, url, params=params, headers=headers, data=form.get("data"), files=files)
        request.read()
        return request

    def send(self, request: httpx2.Request, *, stream: bool = False, **_: Any) -> httpx2.Response:
        """Send a request, or go on waiting for one that was sent, and return its answer.

        Raises:
            Tick: a tick of the exchange passed, and no answer has begun, or it is not whole if it has to be.
            httpx2.TimeoutException: the connect timeout or the time that the exchange allows passed.
            httpx2.NetworkError, httpx2.RemoteProtocolError: no connection, or no whole answer.
        """
        exchange = current_exchange.get()
        assert exchange is not None, "every call runs as an Exchange"
        connection, exchange.connection = exchange.connection, None
        if connection is None:
            connection = self._start(request, exchange)
        else:
            _await(connection, exchange, is_whole=False)
        if stream:
            return self._streamed(connection, exchange, request)
        _await(connection, exchange, is_whole=True)
        if connection.is_encoded:
            response = self._streamed(connection, exchange, request)
            response.read()
            return response
        self._pool.put(connection)
        return _WholeResponse(connection, request)

    def _streamed(self, connection: Connection, exchange: Exchange, request: httpx2.Request) -> httpx2.Response:
        body = _Body(connection, exchange, self._pool)
        response = httpx2.Response(connection.status, stream=body, request=request)
        response.headers = _headers_of(connection)
        return response

    def _start(self, request: httpx2.Request, exchange: Exchange) -> Connection:
        """Send on a kept connection; on a new one where the upstream turns out to have just closed that."""
        message = _serialize(request)
        kept = self._pool.take_idle()
        if kept is not None:
            sent = time.monotonic()
            try:
                return _exchange_on(kept, message, exchange)
            except (httpx2.NetworkError, httpx2.RemoteProtocolError):
                # One that ends later, or in the midst of an answer, may have been at work, which costs money.
                if kept.has_answered or time.monotonic() - sent > _ENDS_AT_ONCE_S:
                    raise
        return _exchange_on(self._pool.connect(exchange.left_s()), message, exchange)

    def close(self) -> None:
        self._pool.close()
        super().close()


class _WholeResponse(httpx2.Response):
    """An answer that is there already: `read()` would take it through a dozen layers of decoders."""

    # private API: _content of httpx2.Response; guarded by tests/openai_service/transport/test_prepared_requests.py

    def __init__(self, connection: Connection, request: httpx2.Request) -> None:
        content = connection.take_body()
        super().__init__(connection.status, stream=httpx2.ByteStream(content), request=request)
        self.headers = _headers_of(connection)
        self._content = content
        self.is_closed = self.is_stream_consumed = True


class _Body(httpx2.SyncByteStream):
    """An answer's body as it comes. b"" means that a tick of the exchange has passed without any."""

    def __init__(self, connection: Connection, exchange: Exchange, pool: ConnectionPool) -> None:
        self._connection: Connection | None = connection
        self._exchange = exchange
        self._pool = pool

    def __iter__(self) -> Iterator[bytes]:
        connection = self._connection
        assert connection is not None, "the body was closed"
        while True:
            data = connection.take_body()
            if data:
                yield data
            if connection.complete:
                break
            try:
                _receive(connection, self._exchange)
            except Tick:
                yield b""
        self.close()

    def close(self) -> None:
        """Keep the connection when the body was read to its end, otherwise close it."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if connection.complete:
            self._pool.put(connection)
        else:
            connection.close()


def _headers_of(connection: Connection) -> httpx2.Headers:
    """An answer's headers, without httpx2's look at the type and the encoding of each name and value."""
    # private API: _list of httpx2.Headers; guarded by tests/openai_service/transport/test_prepared_requests.py
    is_ascii = b"".join([value for _, _, value in connection.headers]).isascii()
    headers = httpx2.Headers(encoding="ascii" if is_ascii else None)
    headers._list = connection.headers
    return headers


def _serialize(request: httpx2.Request) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
    lines += [b"%b: %b" % header for header in request.headers.raw]
    lines += [b"", request.read()]
    return b"\r\n".join(lines)


def _exchange_on(connection: Connection, message: bytes, exchange: Exchange) -> Connection:
    _send(connection, message, exchange)
    _await(connection, exchange, is_whole=False)
    return connection


def _send(connection: Connection, message: bytes, exchange: Exchange) -> None:
    try:
        connection.send(message, max(exchange.left_s(), 0.001))
    except TimeoutError as error:
        connection.close()
        raise httpx2.WriteTimeout("sending took too long") from error
    except OSError as error:
        connection.close()
        raise httpx2.WriteError("the connection broke while sending") from error
    except BaseException:
        connection.close()
        raise


def _await(connection: Connection, exchange: Exchange, *, is_whole: bool) -> None:
    """Read on until the answer's head, or all of it, is there; where a tick passes before, the exchange keeps the connection."""
    while not (connection.complete if is_whole else connection.head_complete):
        try:
            if time.monotonic() >= exchange.tick_at:  # also while bytes drip in
                raise Tick
            _receive(connection, exchange)
        except Tick:
            exchange.connection = connection
            raise


def _receive(connection: Connection, exchange: Exchange) -> None:
    """Read what has come, or wait for one tick; the connection is closed on any other failure."""
    try:
        wait_s = min(exchange.left_s(), exchange.tick_s)
        if wait_s <= 0:
            raise httpx2.ReadTimeout("the time allowed has passed")
        connection.receive(wait_s)
    except TimeoutError as error:
        if exchange.left_s() > 0:
            raise Tick from None
        connection.close()
        raise httpx2.ReadTimeout("the time allowed has passed") from error
    except (ConnectionEnded, httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
        connection.close()
        raise httpx2.RemoteProtocolError("the answer ended early or was not HTTP") from error
    except OSError as error:
        connection.close()
        raise httpx2.ReadError("the connection broke while reading") from error
    except BaseException:
        connection.close()
        raise
