"""Parses the upstream's batch objects and the lines of their output and error files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx2
import orjson

from app.openai_service.answers.text import read_json
from app.openai_service.chat.completion import parse_completion
from app.openai_service.embeddings.vectors import read_embeddings
from app.openai_service.errors import SchemaMismatch, UpstreamError, UpstreamFailed, UpstreamTimeout
from app.openai_service.responses.answer import is_response
from app.openai_service.responses.output import read_items
from app.openai_service.results import CallRecord, ChatResult, EmbeddingResult, StructuredResult
from app.openai_service.structured.checker import AnswerChecker, InvalidAnswer
from app.openai_service.transport.sdk_errors import translate_error_object

REFERENCE = "gatehouse_batch"
"""The name of our own id in a batch's metadata."""

ENDED = frozenset({"completed", "failed", "expired", "cancelled"})


@dataclass(frozen=True, slots=True)
class UpstreamBatch:
    """A batch as the upstream sees it.

    Attributes:
        status: validating, failed, in_progress, finalizing, completed, expired, cancelling or cancelled.
        completed, failed: the number of such requests so far.
        output_file_id: of the answers; error_file_id: of the failed requests.
        error_code: the first reason why the whole batch failed.
    """

    id: str
    status: str
    created_at: int
    reference: str | None = None
    completed: int = 0
    failed: int = 0
    input_file_id: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    error_code: str | None = None

    @property
    def has_ended(self) -> bool:
        """Whether the status is final."""
        return self.status in ENDED


@dataclass(frozen=True, slots=True)
class OutputLine:
    """The result of one request of a batch.

    Attributes:
        custom_id: the id that we gave the request.
        status: of its answer; None if it was not answered.
        body: of the answer.
        error_code: why it was not answered.
    """

    custom_id: str
    status: int | None
    body: Any
    error_code: str | None

    def read_failure(self) -> UpstreamError:
        """Return what failed, of a request that has no answer."""
        if self.status is None:
            return UpstreamTimeout() if self.error_code == "batch_expired" else UpstreamFailed()
        error = self.body.get("error") if isinstance(self.body, dict) else None
        return translate_error_object(error, status=self.status)

    @property
    def has_text(self) -> bool:
        """Whether the body is a chat answer in which the model wrote something, be it a refusal or a tool call."""
        if is_response(self.body):
            output = read_items(self.body.get("output"), "")
            return bool(output.text or output.refusal or output.calls)
        try:
            message = self.body["choices"][0]["message"]
            return any(message.get(name) for name in ("content", "refusal", "tool_calls"))
        except (TypeError, KeyError, IndexError, AttributeError):
            return False


def read_id(response: httpx2.Response) -> str:
    """Return the id of an object. Raises UpstreamFailed."""
    return _require_text(_parse_object(response.content), "id")


def read_batch(content: bytes) -> UpstreamBatch:
    """Parse a batch. Raises UpstreamFailed if it is invalid."""
    body = _parse_object(content)
    counts, metadata, errors = (body.get(name) for name in ("request_counts", "metadata", "errors"))
    reasons = errors.get("data") if isinstance(errors, dict) else None
    return UpstreamBatch(
        id=_require_text(body, "id"),
        status=_read_status(_require_text(body, "status")),
        created_at=_require_count(body, "created_at"),
        reference=_optional_text(metadata, REFERENCE),
        completed=_require_count(counts, "completed"),
        failed=_require_count(counts, "failed"),
        input_file_id=_optional_text(body, "input_file_id"),
        output_file_id=_optional_text(body, "output_file_id"),
        error_file_id=_optional_text(body, "error_file_id"),
        error_code=_optional_text(reasons[0], "code") if isinstance(reasons, list) and reasons else None,
    )


def read_line(line: bytes) -> OutputLine | None:
    """Parse a line of an output or error file; None if it is invalid."""
    try:
        body = read_json(line)
        custom_id, response, error = body["custom_id"], body.get("response"), body.get("error")
        status = response["status_code"] if response else None
        answer = response.get("body") if response else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    if not isinstance(custom_id, str) or not (status is None or type(status) is int):
        return None
    return OutputLine(custom_id, status, answer, _optional_text(error, "code"))


def parse_chat_answer(line: OutputLine, record: CallRecord) -> ChatResult:
    """Return the chat answer of a line. Raises UpstreamError if there is none."""
    return parse_completion(_parse_answer(line), record)


def parse_structured_answer(line: OutputLine, record: CallRecord, checker: AnswerChecker) -> StructuredResult:
    """Return the value of a line's structured answer. Raises UpstreamError if there is none that matches."""
    result = parse_completion(_parse_answer(line), record)
    try:
        return result.to_structured(checker.read(result), result.usage)
    except InvalidAnswer:
        raise SchemaMismatch from None


def parse_embeddings_answer(line: OutputLine, record: CallRecord) -> EmbeddingResult:
    """Return the vectors of a line. Raises UpstreamError if there are none."""
    body = _parse_answer(line)
    items = body.get("data") if isinstance(body, dict) else None
    vectors, usage, served = read_embeddings(orjson.dumps(body), len(items) if isinstance(items, list) else 0)
    record.model = served or record.model
    return EmbeddingResult(vectors, usage, record.model, record)


def _parse_answer(line: OutputLine) -> Any:
    if line.status != 200:
        raise line.read_failure()
    return line.body


def _parse_object(content: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise UpstreamFailed from None
    if not isinstance(body, dict):
        raise UpstreamFailed
    return body


def _read_status(status: str) -> str:
    """Return OpenAI's spelling of a status: Together writes COMPLETED, others "canceled"."""
    return status.lower().replace("canceled", "cancelled")


def _require_text(body: dict[str, Any], name: str) -> str:
    text = _optional_text(body, name)
    if not text:
        raise UpstreamFailed
    return text


def _optional_text(body: object, name: str) -> str | None:
    value = body.get(name) if isinstance(body, dict) else None
    return value if isinstance(value, str) else None


def _require_count(body: object, name: str) -> int:
    value = body.get(name) if isinstance(body, dict) else None
    return value if type(value) is int and value >= 0 else 0
