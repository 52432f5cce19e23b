"""The HTTP client below the OpenAI SDK: an `httpx2.Client` reduced to what one API needs.

A general client spends most of a small call's time on features that are unused here: redirects, cookies, auth
flows, mounts, header merging and an HTTP parser in Python. docs/performance.md has the figures. TLS
verification, proxies and timeouts work as in httpx2. Two things are added: the deadline covers the whole call,
however slowly bytes arrive, and a wait can be interrupted and resumed, which heartbeats to a waiting browser need.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httptools
import httpx2

from app.upstream_http.call_state import CallState, Tick, current_call_state
from app.upstream_http.connection import Connection, ConnectionEnded
from app.upstream_http.connection_pool import ConnectionPool
from app.upstream_http.decoding import UndecodableBody
from app.upstream_http.relaying import relay_parts
from app.upstream_http.spool import SpooledBytes

HEAD = "head"
"""The request extension for a head that was serialized in advance by serialize_head()."""

_NO_HEADERS = httpx2.Headers()  # httpx2 takes longer for None
_NOT_HTTP = (httptools.HttpParserError, httptools.HttpParserUpgrade, UndecodableBody)


class UpstreamClient(httpx2.Client):
    """An `httpx2.Client` for one origin. Each request obeys the time limits of `current_call_state`."""

    def __init__(self, base_url: str, *, connect_timeout_s: float) -> None:
        # httpx2's own transport would never be used, but costs 40 ms and 2 MiB for a TLS context and httpcore2.
        super().__init__(trust_env=False, transport=httpx2.BaseTransport())
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
        """Build a request without merging client settings: the SDK passes the complete URL and all headers.

        Args:
            method: the HTTP method.
            url: an absolute URL.
            headers: all headers except Accept-Encoding, which is added to the list.
            content: the body, unless a file is uploaded.
            params: the query parameters.
            form: `data` and `files` of an upload, which is read into memory.
        """
        # Decompressing a response would cost more time than receiving its bytes uncompressed.
        headers.append(("Accept-Encoding", "identity"))
        files = form.get("files")
        if files is None:
            return httpx2.Request(method, url, params=params, headers=headers, content=content)
        request = httpx2.Request(method, url, params=params, headers=headers, data=form.get("data"), files=files)
        request.read()
        return request

    def send(self, request: httpx2.Request, *, stream: bool = False, **_: Any) -> httpx2.Response:
        """Send a request, or resume waiting for one that was sent, and return its response.

        Args:
            request: from `build_request()`.
            stream: return once the head has arrived, with the body unread.

        Raises:
            Tick: a tick passed before the head arrived, or the complete response if it is not streamed.
            httpx2.TimeoutException: the connect timeout or a time limit of the call's state has passed.
            httpx2.NetworkError, httpx2.RemoteProtocolError: there was no connection, or no complete response.
        """
        call_state = current_call_state.get()
        assert call_state is not None, "every call runs within CallState.run()"
        connection, call_state.connection = call_state.connection, None
        if connection is None:
            connection = self._start(request, call_state)
        else:
            _await(connection, call_state, until_complete=False)
        if stream:
            return self._stream_response(connection, call_state, request)
        _await(connection, call_state, until_complete=True)
        self._pool.put(connection)
        spooled = connection.take_spooled_body()
        if spooled is not None:
            return SpooledResponse(connection, request, spooled)
        return _CompleteResponse(connection, request)

    def _stream_response(
        self, connection: Connection, call_state: CallState, request: httpx2.Request
    ) -> httpx2.Response:
        body = _Body(connection, call_state, self._pool)
        response = _StreamedResponse(connection.status, stream=body, request=request)
        response.headers = _build_headers(connection)
        return response

    def _start(self, request: httpx2.Request, call_state: CallState) -> Connection:
        """Send on an idle connection, or on a new one if there is none or the upstream has closed it."""
        message = _serialize(request)
        idle = self._pool.take_idle()
        if idle is not None:
            try:
                return _send_and_await(idle, message, call_state)
            except (httpx2.NetworkError, httpx2.RemoteProtocolError):
                # The upstream may have read the request, and bill it, although no answer arrived. So the error is raised,
                # and the caller decides on a retry. Only a GET is sent again here: it costs nothing and changes nothing.
                is_free = request.method == "GET" and not idle.has_answered
                if idle.has_sent and not is_free:
                    raise
        return _send_and_await(self._pool.connect(call_state.wait_remaining_s()), message, call_state)

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close()
        super().close()


class _CompleteResponse(httpx2.Response):
    """A response whose body has been read already, without the dozen decoder layers of httpx2's `read()`."""

    # private API: _content of httpx2.Response; guarded by tests/openai_service/transport/test_prepared_requests.py

    def __init__(self, connection: Connection, request: httpx2.Request) -> None:
        content = connection.take_body()
        super().__init__(
            connection.status, headers=_NO_HEADERS, stream=httpx2.ByteStream(content), request=request
        )
        self.headers = _build_headers(connection)
        self._content = content
        self.is_closed = self.is_stream_consumed = True


class _StreamedResponse(httpx2.Response):
    """A response whose body is read as it arrives."""

    def close(self) -> None:
        """Close the body. It raises no errors, so httpx2's wrapper that adds the request to them is not needed."""
        self.is_closed = True
        self.stream.close()  # type: ignore[union-attr]


class SpooledResponse(httpx2.Response):
    """A response whose large body is stored in a file. Each access to `content` reads a copy into memory.

    Attributes:
        spooled: the body.
    """

    def __init__(self, connection: Connection, request: httpx2.Request, spooled: SpooledBytes) -> None:
        super().__init__(connection.status, stream=httpx2.ByteStream(b""), request=request)
        self.headers = _build_headers(connection)
        self.spooled = spooled
        self.is_closed = self.is_stream_consumed = True

    @property
    def _content(self) -> bytes:  # type: ignore[override]
        return self.spooled[:]


class _Body(httpx2.SyncByteStream):
    """A response body that is read as it arrives. It yields b"" when a tick passes without data."""

    def __init__(self, connection: Connection, call_state: CallState, pool: ConnectionPool) -> None:
        self._connection: Connection | None = connection
        self._call_state = call_state
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
                _receive(connection, self._call_state)
            except Tick:
                yield b""
        self.close()

    def close(self) -> None:
        """Return the connection to the pool if the body was read to its end, otherwise close it."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if connection.complete:
            self._pool.put(connection)
        else:
            connection.close()


def _build_headers(connection: Connection) -> httpx2.Headers:
    """Build a response's headers without httpx2's check of the type and encoding of each name and value."""
    # private API: _list of httpx2.Headers; guarded by tests/openai_service/transport/test_prepared_requests.py
    is_ascii = b"".join([value for _, _, value in connection.headers]).isascii()
    headers = httpx2.Headers(_NO_HEADERS, encoding="ascii" if is_ascii else None)
    headers._list = connection.headers
    return headers


def serialize_head(request: httpx2.Request) -> bytes:
    """Return the head of a request, with the empty line behind it."""
    lines = [b"%b %b HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
    lines += [b"%b: %b" % header for header in request.headers.raw]
    return b"\r\n".join([*lines, b"", b""])


def _serialize(request: httpx2.Request) -> bytes:
    head: bytes | None = request.extensions.get(HEAD)
    return (serialize_head(request) if head is None else head) + request.read()


def _send_and_await(connection: Connection, message: bytes, call_state: CallState) -> Connection:
    _send(connection, message, call_state)
    _await(connection, call_state, until_complete=False)
    return connection


def _send(connection: Connection, message: bytes, call_state: CallState) -> None:
    try:
        connection.send(message, max(call_state.wait_remaining_s(), 0.001))
    except TimeoutError as error:
        connection.close()
        raise httpx2.WriteTimeout("sending took too long") from error
    except OSError as error:
        connection.close()
        raise httpx2.WriteError("the connection broke while sending") from error
    except _NOT_HTTP as error:
        connection.close()
        raise httpx2.RemoteProtocolError(
            "the upstream sent data that is not HTTP before the request was complete"
        ) from error
    except BaseException:
        connection.close()
        raise


def _await(connection: Connection, call_state: CallState, *, until_complete: bool) -> None:
    """Read until the head, or the complete response, has arrived.

    Raises:
        Tick: it has not arrived yet; the connection is stored in the call's state.
        httpx2.TransportError: it cannot arrive; the connection is closed.
    """
    while not (connection.complete if until_complete else connection.head_complete):
        try:
            if time.monotonic() >= call_state.next_tick_at:  # also while bytes arrive
                raise Tick
            _receive(connection, call_state)
            if until_complete:
                connection.spool_large_body()
        except Tick:
            call_state.connection = connection
            raise


def _receive(connection: Connection, call_state: CallState) -> None:
    """Read what has arrived, or wait for one tick. Close the connection on any other failure."""
    try:
        wait_s = min(call_state.wait_remaining_s(), call_state.tick_s)
        if wait_s <= 0:
            raise httpx2.ReadTimeout("the time allowed has passed")
        if call_state.relaying is None or connection.has_ended:
            connection.receive(wait_s)
        else:
            # Relayed parts do not restart a wait. Without this limit, a silence would be noticed up to a tick too late.
            relay_parts(connection, call_state.relaying, min(wait_s, call_state.until_tick_s()))
    except TimeoutError as error:
        if call_state.wait_remaining_s() > 0:
            raise Tick from None
        connection.close()
        raise httpx2.ReadTimeout("the time allowed has passed") from error
    except (ConnectionEnded, *_NOT_HTTP) as error:
        connection.close()
        raise httpx2.RemoteProtocolError("the response ended early or was not HTTP") from error
    except OSError as error:
        connection.close()
        raise httpx2.ReadError("the connection broke while reading") from error
    except BaseException:
        connection.close()
        raise
