"""Parses the upstream's batch objects and the lines of their output and error files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
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
"""The field of our id in the metadata of a batch."""

ENDED = frozenset({"completed", "failed", "expired", "cancelled"})

_STATUSES = {
    word: status
    for status, words in {
        "validating": "validating validation created",
        "in_progress": "in_progress running processing queued pending submitted scheduled",
        "finalizing": "finalizing finalising",
        "completed": "completed complete succeeded success done ended",
        "failed": "failed failure error",
        "expired": "expired timeout timed_out timeout_exceeded",
        "cancelling": "cancelling canceling cancellation_requested",
        "cancelled": "cancelled canceled aborted",
    }.items()
    for word in words.split()
}
"""Maps the status of other servers, in lower case, to OpenAI's status."""
_PREFIXES = ("batch_state_", "job_state_", "state_")
_MS_FROM = 100_000_000_000
"""Times from this number on (as seconds, the year 5138) are in milliseconds."""


@dataclass(frozen=True, slots=True)
class UpstreamBatch:
    """A batch as the upstream sees it.

    Attributes:
        status: validating, failed, in_progress, finalizing, completed, expired, cancelling or cancelled.
        completed, failed: the number of completed and of failed requests so far.
        output_file_id: of the answers; error_file_id: of the failed requests.
        error_code: of the first error that made the whole batch fail.
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

    @property
    def lacks_files(self) -> bool:
        """Whether the batch is completed but has no file with results or errors."""
        return self.status == "completed" and self.output_file_id is None and self.error_file_id is None


@dataclass(frozen=True, slots=True)
class OutputLine:
    """The result of one request of a batch.

    Attributes:
        custom_id: our id of the request.
        status: the HTTP status of the answer; None if the request was not answered.
        body: of the answer.
        error_code: why the request was not answered.
    """

    custom_id: str
    status: int | None
    body: Any
    error_code: str | None

    def read_failure(self) -> UpstreamError:
        """Return the error of a request that failed or was not answered."""
        if self.status is None:
            return UpstreamTimeout() if self.error_code == "batch_expired" else UpstreamFailed()
        return translate_error_object(self.body, status=self.status)

    @property
    def has_text(self) -> bool:
        """Whether the body is a chat answer that contains a text, a refusal or a tool call."""
        if is_response(self.body):
            output = read_items(self.body.get("output"), "")
            return bool(output.text or output.refusal or output.calls)
        try:
            message = self.body["choices"][0]["message"]
            return any(message.get(name) for name in ("content", "refusal", "tool_calls", "function_call"))
        except (TypeError, KeyError, IndexError, AttributeError):
            return False


def read_id(response: httpx2.Response) -> str:
    """Return the id of an object. Raises UpstreamFailed."""
    return _require_text(_parse_object(response.content), "id")


def read_batch(content: bytes) -> UpstreamBatch:
    """Parse a batch. Raises UpstreamFailed if it is invalid."""
    body = _parse_object(content)
    counts, metadata = (body.get(name) for name in ("request_counts", "metadata"))
    return UpstreamBatch(
        id=_require_text(body, "id"),
        status=_read_status(_require_text(body, "status")),
        created_at=_read_time(body.get("created_at")),
        reference=_optional_text(metadata, REFERENCE),
        completed=_read_number(counts, "completed", "succeeded"),
        failed=_read_number(counts, "failed", "errored"),
        input_file_id=_optional_text(body, "input_file_id"),
        output_file_id=_optional_text(body, "output_file_id"),
        error_file_id=_optional_text(body, "error_file_id"),
        error_code=_find_error_code(body.get("errors") or body.get("error")),
    )


def read_line(line: bytes) -> OutputLine | None:
    """Parse a line of an output or error file. Return None if it is invalid."""
    try:
        body = read_json(line)
        custom_id, response, error = body["custom_id"], body.get("response"), body.get("error")
        status = int(response["status_code"]) if response else None  # some servers write "200" or 200.0
        answer = response.get("body") if response else None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None
    if not isinstance(custom_id, str):
        return None
    return OutputLine(custom_id, status, answer, _optional_text(error, "code"))


def parse_chat_answer(line: OutputLine, record: CallRecord) -> ChatResult:
    """Return the chat answer in a line. Raises UpstreamError if there is none."""
    return parse_completion(_parse_answer(line), record)


def parse_structured_answer(line: OutputLine, record: CallRecord, checker: AnswerChecker) -> StructuredResult:
    """Return the value of the structured answer in a line. Raises UpstreamError if no value matches the schema."""
    result = parse_completion(_parse_answer(line), record)
    try:
        return result.to_structured(checker.read(result), result.usage)
    except InvalidAnswer:
        raise SchemaMismatch from None


def parse_embeddings_answer(line: OutputLine, record: CallRecord) -> EmbeddingResult:
    """Return the vectors in a line. Raises UpstreamError if there are none."""
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
    """Return OpenAI's name of a status, which may be in any case. An unknown status counts as in_progress."""
    word = status.strip().lower().replace("-", "_").replace(" ", "_")
    for prefix in _PREFIXES:
        word = word.removeprefix(prefix)
    return _STATUSES.get(word, "in_progress")


def _read_time(value: object) -> int:
    """Return a Unix time in whole seconds, from a number or an ISO date; 0 if it is neither."""
    try:
        if isinstance(value, str) and not value.strip().replace(".", "", 1).isdigit():
            at = datetime.fromisoformat(value.strip())
            return max(int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()), 0)
        seconds = int(float(value))  # type: ignore[arg-type]
    except (ValueError, TypeError, OverflowError):
        return 0
    return max(seconds // 1000 if seconds >= _MS_FROM else seconds, 0)


def _find_error_code(errors: object) -> str | None:
    """Return the code of the first error in a list, in OpenAI's object with a list, or in a single object."""
    listed = errors.get("data", errors) if isinstance(errors, dict) else errors
    if isinstance(listed, list):
        listed = listed[0] if listed else None
    return _optional_text(listed, "code") or _optional_text(listed, "type")


def _require_text(body: dict[str, Any], name: str) -> str:
    text = _optional_text(body, name)
    if not text:
        raise UpstreamFailed
    return text


def _optional_text(body: object, name: str) -> str | None:
    """Return a field's text. Some servers send a code or an id as an integer, which is converted."""
    value = body.get(name) if isinstance(body, dict) else None
    return str(value) if type(value) is int else value if isinstance(value, str) else None


def _read_number(counts: object, *names: str) -> int:
    """Return the first of these fields that is a number; 0 if none is."""
    values = [counts.get(name) for name in names] if isinstance(counts, dict) else []
    for value in values:
        try:
            return max(int(float(value)), 0)  # type: ignore[arg-type]
        except (ValueError, TypeError, OverflowError):
            continue
    return 0
