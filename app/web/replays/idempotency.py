"""Replay the answer to a request that is repeated with the same Idempotency-Key, at no cost.

The key is claimed before the view runs. The worker that claims it completes the answer even if the client disconnects. In
the meantime, the same request with the same key waits for that answer, on any worker.
"""

from __future__ import annotations

import hashlib
import io
import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

from flask import Blueprint, Request, Response, current_app

from app.problems import InvalidRequest
from app.runtime import clock
from app.runtime.lifecycle import Draining, Lifecycle
from app.runtime.store_guard import DatabaseUnavailable
from app.runtime.turns import split_in_turns
from app.services import services
from app.storage.shared_state.replays import AnswerStore, Claim, CompleteAnswer, Replay
from app.storage.shared_state.replays.answer_log import ALIVE_S
from app.storage.shared_state.replays.answer_store import MAX_COMPLETE_BYTES
from app.storage.shared_state.replays.errors import IdempotencyInDoubt
from app.web.call_context import name_current_user
from app.web.client_connection import ClientConnection
from app.web.guards import find_guard
from app.web.replays.following import follow_answer
from app.web.replays.waiting import WaitingBodies
from app.web.request_body import buffer_body
from app.web.request_id import current_request, current_state

# Without a comma: WSGI joins two headers of the same name with one, and it would be unclear which key applies.
_VALID_KEY = re.compile(r"[\x21-\x2b\x2d-\x7e]{1,255}")
_BILLED_SCOPES = {"chat", "vision", "embeddings", "structured"}
_BOUNDARY = re.compile(rb"boundary=\"?([^\";,\s]+)")
_MAX_PARTS = 1_000
_RENEW_EVERY_S = 1.0
# A request that waits for another's answer polls less and less often: many may wait, and for long.
_POLL_S = 0.05
_MAX_POLL_S = 0.5
# Headers that belong to one request, not to the answer.
_UNSTORED_HEADERS = ("X-Request-ID", "Content-Length", "Vary", "RateLimit-", "Access-Control-", "Set-Cookie")


def read_key_header(request: Request) -> str | None:
    """Return the value of the header Idempotency-Key."""
    key: str | None = request.environ.get("HTTP_IDEMPOTENCY_KEY")
    return key


def init_idempotency(api: Blueprint, read_key: Callable[[Request], str | None] = read_key_header) -> None:
    """Register the hooks. Call this after all others: the principal must be known, and the request counted.

    Args:
        api: the blueprint whose requests may have a key.
        read_key: returns the key of a request, if it has one.
    """
    api.before_request(partial(_claim_key, WaitingBodies(), read_key))
    api.after_request(_store_answer)


class IdempotentRequest:
    """A request whose Idempotency-Key this worker has claimed."""

    def __init__(self, claim: Claim, owner: str) -> None:
        self.claim = claim
        self.owner = owner
        self.is_streamed = False
        """Whether the stream itself stores the answer, while it is sent."""

    def note_sent(self, silent_s: float = ALIVE_S) -> None:
        """Record that the upstream may bill the request from now on.

        Args:
            silent_s: how long this worker may be too busy to renew its claim.

        Raises:
            IdempotencyInDoubt: the claim is lost.
            DatabaseUnavailable: it is unknown whether the claim is lost.
        """
        self.claim.note_sent()
        if silent_s > ALIVE_S:
            self.claim.renew(silent_s)

    def make_connection(self, lifecycle: Lifecycle) -> UnattendedConnection:
        """Return the connection to check during the call, which continues without the client."""
        return UnattendedConnection(self.claim, lifecycle)

    def store(self, response: Response, answers: AnswerStore, *, keep_s: float) -> None:
        """Store a complete response, or release the key if the request failed."""
        has_failed = response.status_code >= 400
        with suppress(DatabaseUnavailable):  # the key stays in doubt, but this client gets its answer
            if not has_failed:
                is_small = (response.content_length or 0) <= MAX_COMPLETE_BYTES
                body = response.get_data() if is_small else None
                if not is_small:
                    response.headers["Idempotency-Kept"] = "false"
                answer = CompleteAnswer(response.status_code, select_stored_headers(response), body)
                answers.save(self.owner, self.claim.answer_id, answer, ttl_s=keep_s)
            self.end(has_failed=has_failed)

    def end(self, *, has_failed: bool) -> None:
        """Record whether the request failed. Raises DatabaseUnavailable."""
        if has_failed:
            self.claim.fail()
        else:
            self.claim.complete()


class UnattendedConnection:
    """Takes the place of the client's connection for an answer that is completed even if the client has left."""

    def __init__(self, claim: Claim, lifecycle: Lifecycle) -> None:
        self._claim = claim
        self._lifecycle = lifecycle
        self._renew_at = 0.0

    def check(self) -> None:
        """Raise Draining if the server must shut down, and renew the claim about once a second."""
        if self._lifecycle.must_end:
            raise Draining
        if clock.ticks() >= self._renew_at:
            self._renew_at = clock.ticks() + _RENEW_EVERY_S
            with suppress(DatabaseUnavailable):
                self._claim.renew()


def select_stored_headers(response: Response) -> list[tuple[str, str]]:
    """Return the headers of a response that are stored with its answer."""
    return [(name, value) for name, value in response.headers.items() if not name.startswith(_UNSTORED_HEADERS)]


def _claim_key(waiting: WaitingBodies, read_key: Callable[[Request], str | None]) -> Response | None:
    request = current_request()
    key = read_key(request)
    if key is None or request.method != "POST":
        return None
    guard = find_guard(current_app.view_functions[str(request.endpoint)])
    if guard is None or _BILLED_SCOPES.isdisjoint(guard.scopes):
        return None
    if not _VALID_KEY.fullmatch(key):
        raise InvalidRequest(
            "must be given once, as 1 to 255 visible ASCII characters without a comma.", field="Idempotency-Key"
        )
    built, owner = services(), name_current_user()
    body = buffer_body()
    fingerprint = _hash_request(request, body)

    def find() -> Claim | Response | None:
        found = built.idempotency_keys.claim(owner, key, fingerprint)
        return found if isinstance(found, Claim) else _replay(found, built.answers)

    found = find()
    if found is None:
        with waiting.hold(owner, len(body)):
            found = _await_answer(find, ClientConnection(request.environ.get("gunicorn.socket"), built.lifecycle))
    if isinstance(found, Response):
        request.environ["wsgi.input"] = io.BytesIO()  # frees the body, which is not read: a stream may be long
        return found
    current_state().idempotent = IdempotentRequest(found, owner)
    return None


def _await_answer(find: Callable[[], Claim | Response | None], connection: ClientConnection) -> Claim | Response:
    """Wait until the answer is available or the key can be claimed.

    Raises:
        IdempotencyInDoubt: neither happened in time.
        CallerGone: the client has disconnected.
        Draining: the server must shut down.
    """
    started_at, timeout_s = time.monotonic(), services().config.request_timeout_s
    while (waited_s := time.monotonic() - started_at) <= timeout_s:
        connection.check()
        time.sleep(min(max(_POLL_S, waited_s / 10), _MAX_POLL_S))
        found = find()
        if found is not None:
            return found
    raise IdempotencyInDoubt


def _replay(found: Replay, answers: AnswerStore) -> Response | None:
    """Return a response with a stored answer; None if the answer has not begun."""
    reader = answers.open(found.answer_id)
    head = reader.read_head()
    if head is None:
        if found.is_done:
            raise IdempotencyInDoubt
        return None
    if head.is_cut_off:
        return None  # the key is about to be released
    response = follow_answer(reader, head)
    response.headers["Idempotent-Replay"] = "true"
    return response


def _store_answer(response: Response) -> Response:
    idempotent: IdempotentRequest | None = current_state().idempotent
    if idempotent is not None and not idempotent.is_streamed:
        built = services()
        idempotent.store(response, built.answers, keep_s=built.config.idempotency_keep_s)
    return response


def _hash_request(request: Request, body: bytes) -> str:
    """Return a hash of a request. It leaves out the boundary of a form, which is different each time it is sent."""
    content_type = request.environ.get("CONTENT_TYPE", "").encode("latin-1")
    parts: Iterable[bytes] = [body]
    if content_type.startswith(b"multipart/") and (boundary := _BOUNDARY.search(content_type)):
        # A short boundary may occur very often in a body; a form with more parts than this is refused later.
        parts = split_in_turns(body, b"--" + boundary[1], _MAX_PARTS)
        content_type = content_type.replace(boundary[1], b"")
    start = [request.environ["PATH_INFO"].encode("latin-1"), request.query_string, content_type]
    digest = hashlib.sha256(b"\0".join(start) + b"\0")
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
