"""Build complete JSON responses, and the headers that describe how a call went."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from flask import Blueprint, Response
from werkzeug.datastructures import Headers

from app.openai_service import CallRecord
from app.web.request_id import add_headers, current_state

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_HEADER_SAFE = re.compile(r"[\x21-\x7e]{1,200}")


@dataclass(frozen=True, slots=True)
class JsonPieces:
    """JSON that is too large to hold in memory at once: its pieces, and their total length."""

    pieces: Iterable[bytes]
    length: int

    def __len__(self) -> int:
        return self.length


def no_content() -> Response:
    """Return a 204 response, without a body and a Content-Type."""
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


def plain_json_response(body: Any, *, status: int = 200) -> Response:
    """Return a JSON response that is not about a call. No cache stores it: request_id.py adds `Cache-Control: no-store`."""
    return Response(orjson.dumps(body), status=status, content_type="application/json")


def json_response(body: dict[str, Any] | bytes | JsonPieces, record: CallRecord) -> Response:
    """Return the JSON response to a call. Bytes and pieces are sent as they are."""
    content = orjson.dumps(body) if isinstance(body, dict) else body
    return JsonResponse.create(content, build_call_headers(record))


class JsonResponse(Response):
    """A complete JSON response that skips werkzeug's handling of type, length and encoding."""

    @classmethod
    def create(cls, content: bytes | JsonPieces, headers: Sequence[tuple[str, str]]) -> JsonResponse:
        """Create a response as a copy of an empty one, which saves the 50 calls that Response() makes each time."""
        response = cls.__new__(cls)
        pieces = [content] if isinstance(content, bytes) else content.pieces
        response.__dict__.update(_EMPTY.__dict__, headers=Headers(), response=pieces, _on_close=[])
        add_headers(
            response, [("Content-Type", "application/json"), ("Content-Length", str(len(content))), *headers]
        )
        return response

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Send the body directly, unless the request is a HEAD or the response has close callbacks."""
        if self._on_close or environ["REQUEST_METHOD"] == "HEAD":
            return super().__call__(environ, start_response)
        start_response(self.status, [*self.headers._list])
        return self.response  # type: ignore[return-value]


class StreamedResponse(Response):
    """A response whose body is streamed. It skips werkzeug's handling of each header."""

    @classmethod
    def create(cls, body: Iterable[bytes], headers: Sequence[tuple[str, str]]) -> StreamedResponse:
        """Create a response as a copy of an empty one.

        Args:
            body: closed by the server.
            headers: must not contain line breaks, which are not checked for.
        """
        response = cls.__new__(cls)
        response.__dict__.update(_UNSENT.__dict__, headers=Headers(), response=body, _on_close=[])
        add_headers(response, headers)
        return response

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Send the body directly, as each wrapper around it would add calls for each piece."""
        if environ["REQUEST_METHOD"] == "HEAD":
            return super().__call__(environ, start_response)
        start_response(self.status, [*self.headers._list])
        return self.response  # type: ignore[return-value]


# private API: the attributes of a Response, _on_close, _list of Headers; guarded by tests/web/test_flask_app.py
_EMPTY = JsonResponse()
_UNSENT = StreamedResponse(direct_passthrough=True)


def init_responses(api: Blueprint) -> None:
    """Add the headers about the call to a 422 error, which means that a model answered but its answer was not usable."""

    def add_to_errors(response: Response) -> Response:
        if response.status_code != 422:
            return response
        record: CallRecord | None = current_state().call_record
        if record is not None and record.attempts:
            add_headers(response, build_call_headers(record))
        return response

    api.after_request(add_to_errors)


def build_call_headers(record: CallRecord) -> list[tuple[str, str]]:
    """Return X-Attempts and X-Overhead-Ms; X-Model if known; X-Params-Adjusted if a parameter was adjusted."""
    overhead_ms = (time.perf_counter() - current_state().started) * 1000 - record.upstream_ms
    headers = [("X-Attempts", str(record.attempts)), ("X-Overhead-Ms", f"{max(overhead_ms, 0.0):.2f}")]
    # The upstream chooses the name, so it may contain characters that a header must not have.
    if _HEADER_SAFE.fullmatch(record.model):
        headers.append(("X-Model", record.model))
    return headers + build_adjusted_headers(record.adjusted)


def build_adjusted_headers(adjusted: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return X-Params-Adjusted if the upstream was sent a parameter with another value than requested."""
    if not adjusted:
        return []
    return [("X-Params-Adjusted", ", ".join(f"{name}={how}" for name, how in adjusted.items()))]
