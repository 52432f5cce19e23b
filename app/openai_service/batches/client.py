"""OpenAIBatches: the client for OpenAI's Batch API, which answers within a day at half the price.

Source: https://platform.openai.com/docs/guides/batch and https://platform.openai.com/docs/api-reference/batch
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from hashlib import blake2b
from typing import Any, Protocol
from urllib.parse import quote

import httpx2
import orjson

from app.config import UpstreamBatchSettings
from app.openai_service.batches.calls import NOT_FOUND, BatchCalls, WatchRequest
from app.openai_service.batches.failures import NoteFailure, ignore_failure
from app.openai_service.batches.objects import REFERENCE, UpstreamBatch, read_batch, read_id
from app.openai_service.chat.input_window import InputWindow
from app.openai_service.chat_call import ChatCall
from app.openai_service.context import Pseudonym
from app.openai_service.errors import BatchesNotOffered, UpstreamError, UpstreamFailed
from app.openai_service.resilience.breaker import CircuitBreaker, KeyValueStore
from app.openai_service.responses.endpoints import Endpoints
from app.openai_service.responses.reasoning_items import drop_reasoning_items, has_reasoning_items
from app.openai_service.responses.request_body import NOT_STORED, build_response_body, clamp_limit, find_chat_only
from app.openai_service.transport.attribution import Attribution
from app.openai_service.transport.parameter_support import ParameterSupport
from app.openai_service.transport.request import UpstreamRequest
from app.openai_service.transport.request_bodies import (
    CHAT_PATH,
    RESPONSES_PATH,
    chat_body,
    embeddings_body,
    offered_model,
)
from app.openai_service.transport.sdk_errors import TranslatedErrors
from app.openai_service.transport.upstream import Upstream
from app.runtime.turns import in_turns

_PAGE = 100
# A line may contain the vectors of 2,048 texts, about 30 kB each.
_MAX_LINE = 256 * 1024 * 1024


class BatchClient(Protocol):
    """The HTTP methods that OpenAIBatches needs; implemented in transport/sdk_client.py."""

    def send_json(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, stream: bool = False
    ) -> httpx2.Response:
        """Send a request with a JSON body, if any."""

    def send_file(self, path: str, fields: Mapping[str, str], name: str, content: bytes) -> httpx2.Response:
        """Upload a file as a multipart form."""


class OpenAIBatches:
    """The operations of the Batch API. Each raises UpstreamError if it fails, or CircuitOpen.

    Safe requests are retried until `deadline`, in seconds of time.monotonic(). `caller` is the owner of the batch.
    """

    def __init__(
        self,
        settings: UpstreamBatchSettings,
        client: BatchClient,
        store: KeyValueStore,
        input_limits: InputWindow | None = None,
        note_failure: NoteFailure = ignore_failure,
    ) -> None:
        self._settings = settings
        self._upstream = Upstream.from_settings(settings.upstream)
        self._attribution = Attribution.from_settings(settings.attribution, self._upstream)
        self._client = client
        self._input_limits = input_limits
        self.note_failure = note_failure
        """Called for each failed request, except when the upstream does not have the requested object."""
        breaker = CircuitBreaker(store, settings.breaker, upstream=self._upstream.breaker_key)
        self._calls = BatchCalls(breaker, note_failure, max_attempts=settings.max_attempts)

    def watch_requests(self, watch: WatchRequest) -> None:
        """Set the observer that is called for each attempt at a request."""
        self._calls.watch = watch

    def check(self, path: str) -> None:
        """Raise BatchesNotOffered if the upstream or the settings do not allow batches of this path."""
        if not self._upstream.offers_batches:
            raise BatchesNotOffered
        # Batches are not moderated.
        if path == CHAT_PATH and self._settings.chat_is_moderated:
            raise BatchesNotOffered

    def build_chat_request(
        self, call: ChatCall, *, max_tokens: int | None, pseudonym: Pseudonym | None = None
    ) -> tuple[str, dict[str, Any], dict[str, str]]:
        """Return the model and body of a chat, vision or structured request, and its changed parameters.

        Args:
            call: the conversation.
            max_tokens: the output limit of the caller, if it is lower than the site's.
            pseudonym: of the caller.

        Raises:
            ModelNotOffered: callers may not choose this model.
            InputTooLong: the input exceeds MAX_INPUT_TOKENS.
        """
        model = offered_model(self._settings.models, call.operation, call.model, is_pinned=call.model_is_pinned)
        body, adjusted = chat_body(self._settings.models, call, max_tokens=max_tokens)
        if body.pop("service_tier", None) is not None and call.service_tier is not None:  # a batch has its own
            adjusted["serviceTier"] = "dropped"
        body |= self._attribution.build_fields(pseudonym, call.prompt_version)
        if self._input_limits is not None:
            request = UpstreamRequest(CHAT_PATH, body)
            self._input_limits.trim(request, (model,))
            body = request.body
        return model, body, adjusted

    def adapt_chat_requests(
        self, model: str, bodies: Sequence[dict[str, Any]]
    ) -> tuple[str, list[dict[str, Any]], dict[str, str]]:
        """Choose one endpoint for all requests of a batch, and adapt their parameters to it.

        The choice must be right at once, since errors arrive only when the batch has ended.

        Returns:
            the endpoint's path; the adapted bodies, still in the form of chat completions; and the changes.
        """
        endpoints = Endpoints(self._upstream)
        parameter_support = ParameterSupport(has_families=self._upstream.has_families)
        paths = {endpoints.choose(model, body) for body in in_turns(bodies)}
        path = RESPONSES_PATH if RESPONSES_PATH in paths else CHAT_PATH
        adapted: list[dict[str, Any]] = []
        adjusted: dict[str, str] = {}
        for body in in_turns(bodies):
            changed_body, changes = parameter_support.adapt(path, model, body)
            changed_body, lowered = parameter_support.lower_details(model, changed_body)
            if path == RESPONSES_PATH:
                changed_body, more = clamp_limit(changed_body)
                changes = changes | more | dict.fromkeys(find_chat_only(changed_body), "dropped")
            elif has_reasoning_items(changed_body["messages"]):
                changed_body = {**changed_body, "messages": drop_reasoning_items(changed_body["messages"])}
            adapted.append(changed_body)
            adjusted |= changes | lowered
        return path, adapted, adjusted

    def build_body(self, path: str, model: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the body of one request of a batch in the form of the endpoint."""
        if path == RESPONSES_PATH:
            body = build_response_body({**NOT_STORED, **body}, model, reasons=False)[0]
        return {"model": model, **body}

    def build_embeddings_request(
        self, texts: Sequence[str], *, model: str | None, dimensions: int | None
    ) -> tuple[str, dict[str, Any]]:
        """Return the model and body of an embeddings request. Raises ModelNotOffered."""
        model = offered_model(self._settings.models, "embeddings", model)
        return model, embeddings_body(texts, dimensions=dimensions)

    def upload(self, name: str, lines: bytes, *, caller: str, deadline: float) -> str:
        """Upload requests, one JSON object on each line, and return the id of the file.

        Raises:
            BatchesNotOffered: the upstream has no files API.
        """

        def send() -> httpx2.Response:
            return self._client.send_file("/files", {"purpose": "batch"}, name, lines)

        try:
            response = self._calls.send(
                send,
                ("POST", "/files"),
                caller=caller,
                deadline=deadline,
                fingerprint=lambda: blake2b(lines).hexdigest(),
            )
            return read_id(response)
        except UpstreamError as error:
            if error.upstream_status in NOT_FOUND:
                self.note_failure(error)
                raise BatchesNotOffered from None
            raise

    def create(self, file_id: str, path: str, reference: str, *, caller: str, deadline: float) -> UpstreamBatch:
        """Create a batch of the requests in a file. Not retried if a failed attempt may have created it.

        Args:
            file_id: of the uploaded requests.
            path: of each request.
            reference: our id of the batch, for find().
            caller: the owner of the batch.
            deadline: of all attempts.
        """
        body = {
            "input_file_id": file_id,
            "endpoint": f"/v1{path}",
            "completion_window": "24h",
            "metadata": {REFERENCE: reference},
        }
        response = self._calls.send(
            lambda: self._client.send_json("post", "/batches", body),
            ("POST", "/batches"),
            caller=caller,
            deadline=deadline,
            fingerprint=lambda: f"create {reference}",
            is_safe=lambda error: not may_exist(error),
        )
        return read_batch(response.content)

    def find(self, reference: str, *, since_s: int, caller: str, deadline: float) -> UpstreamBatch | None:
        """Return the batch with a reference, created at or after `since_s` (Unix time), if any."""
        after = ""
        while True:
            path = f"/batches?limit={_PAGE}{after}"
            page = self._send("get", path, "/batches", caller, deadline)
            found = _parse_list(page.content)
            for batch in found:
                if batch.reference == reference:
                    return batch
            if len(found) < _PAGE or _are_older(found, since_s):
                return None
            before, after = after, f"&after={quote(found[-1].id, safe='')}"
            if after == before:  # the server does not support paging
                return None

    def retrieve(self, batch_id: str, *, caller: str, deadline: float) -> UpstreamBatch:
        """Return the batch's current state."""
        path = f"/batches/{quote(batch_id, safe='')}"
        return read_batch(self._send("get", path, "/batches/{id}", caller, deadline).content)

    def cancel(self, batch_id: str, *, caller: str, deadline: float) -> UpstreamBatch:
        """Request cancellation, which may take ten minutes. Requests answered before that are billed."""
        path = f"/batches/{quote(batch_id, safe='')}/cancel"
        return read_batch(self._send("post", path, "/batches/{id}/cancel", caller, deadline).content)

    def read_lines(self, file_id: str, *, caller: str, deadline: float) -> Iterator[bytes]:
        """Yield the lines of a file as they arrive, without blank ones."""
        path = f"/files/{quote(file_id, safe='')}/content"
        with closing(self._send("get", path, "/files/{id}/content", caller, deadline, stream=True)) as response:
            rest = bytearray()
            with TranslatedErrors():
                # Not iter_raw(): an empty chunk marks a tick.
                for data in response.stream:  # type: ignore[union-attr]
                    rest += data
                    if b"\n" in data:
                        *lines, rest = rest.split(b"\n")
                        yield from (bytes(line) for line in lines if line.strip())
                    elif len(rest) > _MAX_LINE:
                        raise UpstreamFailed
            if rest.strip():
                yield bytes(rest)

    def delete_file(self, file_id: str, *, caller: str, deadline: float) -> None:
        """Delete a file."""
        self._send("delete", f"/files/{quote(file_id, safe='')}", "/files/{id}", caller, deadline)

    def _send(
        self, method: str, path: str, template: str, caller: str, deadline: float, *, stream: bool = False
    ) -> httpx2.Response:
        """Send a request without a body."""
        return self._calls.send(
            lambda: self._client.send_json(method, path, stream=stream),
            (method.upper(), template),
            caller=caller,
            deadline=deadline,
            fingerprint=lambda: f"{method} {path}",
        )


def _are_older(found: Sequence[UpstreamBatch], since_s: int) -> bool:
    """Return whether all further batches are older. OpenAI lists the newest first; some servers send no time."""
    return 0 < found[-1].created_at < since_s and found[-1].created_at <= found[0].created_at


def may_exist(error: UpstreamError) -> bool:
    """Return whether a batch may exist although its creation failed: the upstream may have received the request."""
    return error.was_sent and (error.upstream_status is None or error.upstream_status >= 500)


def _parse_list(content: bytes) -> list[UpstreamBatch]:
    try:
        return [read_batch(orjson.dumps(item)) for item in orjson.loads(content)["data"]]
    except (orjson.JSONDecodeError, TypeError, KeyError):
        raise UpstreamFailed from None
