"""BatchResults in one piece, and the headers that tell how a call went."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from flask import Blueprint, Response
from werkzeug.datastructures import Headers

from app.openai_service import CallRecord
from app.web.request_id import add_headers, current_state

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_HEADER_SAFE = re.compile(r"[\x21-\x7e]{1,200}")


def json_response(body: dict[str, Any] | bytes, record: CallRecord) -> Response:
    """An answer of a model; bytes are JSON already."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return JsonAnswer.of(content, build_call_headers(record))


class JsonAnswer(Response):
    """An answer that is whole, and needs no look at its type, its length and its encoding."""

    @classmethod
    def of(cls, content: bytes, headers: Sequence[tuple[str, str]]) -> JsonAnswer:
        """Make one from an empty one, as Response() spends 50 calls on what is the same in all."""
        answer = cls.__new__(cls)
        answer.__dict__.update(_EMPTY.__dict__, headers=Headers(), response=[content], _on_close=[])
        add_headers(
            answer, [("Content-Type", "application/json"), ("Content-Length", str(len(content))), *headers]
        )
        return answer

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if self._on_close or environ["REQUEST_METHOD"] == "HEAD":
            return super().__call__(environ, start_response)
        start_response(self.status, self.headers.to_wsgi_list())
        return self.response  # type: ignore[return-value]


# private API: what a Response keeps in itself, _on_close; guarded by tests/web/test_flask_app.py
_EMPTY = JsonAnswer()


def init_responses(api: Blueprint) -> None:
    """Have an error tell how the call went as well, where a model has answered and its answer did not do."""

    def tell(response: Response) -> Response:
        if response.status_code != 422:
            return response
        record: CallRecord | None = current_state().call_record
        if record is not None and record.attempts:
            add_headers(response, build_call_headers(record))
        return response

    api.after_request(tell)


def build_call_headers(record: CallRecord) -> list[tuple[str, str]]:
    """X-Model, X-Attempts, X-Overhead-Ms, and X-Params-Adjusted where something was."""
    overhead_ms = (time.perf_counter() - current_state().started) * 1000 - record.upstream_ms
    headers = [("X-Attempts", str(record.attempts)), ("X-Overhead-Ms", f"{max(overhead_ms, 0.0):.2f}")]
    # The name comes from the upstream, and a header must not.
    if _HEADER_SAFE.fullmatch(record.model):
        headers.append(("X-Model", record.model))
    return headers + build_adjusted_headers(record.adjusted)


def build_adjusted_headers(adjusted: Mapping[str, str]) -> list[tuple[str, str]]:
    """X-Params-Adjusted, where something was sent on otherwise than asked for."""
    if not adjusted:
        return []
    return [("X-Params-Adjusted", ", ".join(f"{name}={how}" for name, how in adjusted.items()))]
