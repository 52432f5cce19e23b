"""Answers in one piece, and the headers that tell how a call went."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

import orjson
from flask import Blueprint, Response, g

from app.openai_service import CallRecord

_HEADER_SAFE = re.compile(r"[\x21-\x7e]{1,200}")


def json_answer(body: dict[str, Any] | bytes, record: CallRecord) -> Response:
    """An answer of a model; bytes are JSON already."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    response = Response(content, content_type="application/json")
    response.headers.extend(call_headers(record))
    return response


def init_answers(api: Blueprint) -> None:
    """Have an error tell how the call went as well, where a model has answered and its answer did not do."""

    def tell(response: Response) -> Response:
        record: CallRecord | None = g.get("call_record")
        if response.status_code == 422 and record is not None and record.attempts:
            response.headers.extend(call_headers(record))
        return response

    api.after_request(tell)


def call_headers(record: CallRecord) -> list[tuple[str, str]]:
    """X-Model, X-Attempts, X-Overhead-Ms, and X-Params-Adjusted where something was."""
    overhead_ms = (time.perf_counter() - g.started) * 1000 - record.upstream_ms
    headers = [("X-Attempts", str(record.attempts)), ("X-Overhead-Ms", f"{max(overhead_ms, 0.0):.2f}")]
    # The name comes from the upstream, and a header must not.
    if _HEADER_SAFE.fullmatch(record.model):
        headers.append(("X-Model", record.model))
    return headers + adjusted_headers(record.adjusted)


def adjusted_headers(adjusted: Mapping[str, str]) -> list[tuple[str, str]]:
    """X-Params-Adjusted, where something was sent on otherwise than asked for."""
    if not adjusted:
        return []
    return [("X-Params-Adjusted", ", ".join(f"{name}={how}" for name, how in adjusted.items()))]
