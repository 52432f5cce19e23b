"""Encode the results of a batch as JSON, each with the body that the request's own route would have returned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import lru_cache

import orjson

from app.batches import Batch, BatchResults, RequestCancelled, SentRequest
from app.json_schema.errors import SchemaNotUsable
from app.openai_service import (
    AnswerChecker,
    AnswerFormat,
    CallRecord,
    OutputLine,
    parse_chat_answer,
    parse_embeddings_answer,
    parse_structured_answer,
)
from app.openai_service.errors import UpstreamError, UpstreamFailed, UpstreamTimeout
from app.runtime.turns import in_turns
from app.web.errors import api_error, problem_for
from app.web.schemas.chat import build_chat_response
from app.web.schemas.embeddings import build_embeddings_response
from app.web.schemas.structured import build_structured_response


def encode_results(batch: Batch, answers: BatchResults, *, request_id: str) -> Iterator[bytes]:
    """Yield {"results": [{"id", "status", "body"}]} in pieces, as it can be large.

    Close the answers at the end.
    """
    encoder = _Encoder(batch, request_id)
    with closing(answers):
        yield b'{"results":['
        for index, (sent, line) in enumerate(in_turns(answers)):
            status, body = encoder.encode(sent, line)
            name = orjson.dumps(sent.id)
            yield b'%b{"id":%b,"status":%d,"body":%b}' % (b"," if index else b"", name, status, body)
        yield b"]}"


class _Encoder:
    """Encodes the results of one batch."""

    def __init__(self, batch: Batch, request_id: str) -> None:
        self._batch = batch
        self._request_id = request_id
        # Most batches have one answer format.
        self._load_format = lru_cache(maxsize=8)(_load_format)

    def encode(self, sent: SentRequest, line: OutputLine | None) -> tuple[int, bytes]:
        """Return the status and the body of a result."""
        try:
            return 200, self._encode_answer(sent, line)
        except (UpstreamError, RequestCancelled, SchemaNotUsable) as error:
            problem = problem_for(error)
            return problem.status, orjson.dumps(api_error(problem, self._request_id))

    def _encode_answer(self, sent: SentRequest, line: OutputLine | None) -> bytes:
        batch = self._batch
        if line is None or line.status is None:
            if batch.status == "cancelled":
                raise RequestCancelled
            if batch.status == "expired":
                raise UpstreamTimeout
        if line is None:
            raise UpstreamFailed
        record = CallRecord(self._request_id, batch.kind, batch.model)
        if batch.kind == "embeddings":
            return build_embeddings_response(parse_embeddings_answer(line, record))
        if batch.kind == "structured":
            checker, changes = self._load_format(sent.answer_format)
            result = parse_structured_answer(line, record, checker)
            return orjson.dumps(build_structured_response(result.data, result, changes))
        return orjson.dumps(build_chat_response(parse_chat_answer(line, record)))


def _load_format(text: str) -> tuple[AnswerChecker, Sequence[str] | None]:
    answer_format = AnswerFormat.load(text)
    return answer_format.make_checker(), answer_format.changes
