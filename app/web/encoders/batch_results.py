"""Encode the results of a batch as JSON, each with the body that the route of its request would have sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import orjson

from app.batches import Batch, BatchResults, RequestCancelled
from app.openai_service import CallRecord, OutputLine, parse_chat_answer, parse_embeddings_answer
from app.openai_service.errors import UpstreamError, UpstreamFailed, UpstreamTimeout
from app.web.errors import api_error, problem_for
from app.web.schemas.chat import chat_response
from app.web.schemas.embeddings import embeddings_response


def encode_results(batch: Batch, answers: BatchResults, *, request_id: str) -> Iterator[bytes]:
    """Yield {"results": [{"id", "status", "body"}]} in pieces, as it can be large, then close the answers."""
    with closing(answers):
        yield b'{"results":['
        for index, (name, line) in enumerate(answers):
            status, body = _encode_result(batch, line, request_id)
            yield b'%b{"id":%b,"status":%d,"body":%b}' % (b"," if index else b"", orjson.dumps(name), status, body)
        yield b"]}"


def _encode_result(batch: Batch, line: OutputLine | None, request_id: str) -> tuple[int, bytes]:
    try:
        return 200, _encode_answer(batch, line, request_id)
    except (UpstreamError, RequestCancelled) as error:
        problem = problem_for(error)
        return problem.status, orjson.dumps(api_error(problem, request_id))


def _encode_answer(batch: Batch, line: OutputLine | None, request_id: str) -> bytes:
    if line is None or line.status is None:
        if batch.status == "cancelled":
            raise RequestCancelled
        if batch.status == "expired":
            raise UpstreamTimeout
    if line is None:
        raise UpstreamFailed
    record = CallRecord(request_id, batch.kind, batch.model)
    if batch.kind == "embeddings":
        return embeddings_response(parse_embeddings_answer(line, record))
    return orjson.dumps(chat_response(parse_chat_answer(line, record)))
