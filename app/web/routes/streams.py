"""Resume and stop resumable streams."""

from __future__ import annotations

from flask import Blueprint, Response, request

from app.auth.keys import KEY_PREFIX
from app.problems import InvalidRequest
from app.services import services
from app.storage.shared_state.replays.errors import StreamNotFound
from app.web.call_context import name_current_user
from app.web.guards import needs
from app.web.replays.following import follow_answer
from app.web.request_id import current_request
from app.web.responses import no_content

bp = Blueprint("streams", __name__, url_prefix="/chat")

_MAX_DIGITS = 9


@bp.get("/stream/<stream_id>")
@needs("chat", "vision", "structured")
def resume(stream_id: str) -> Response:
    """Resume a stream after the event in `Last-Event-ID` or `after`."""
    return _resume(stream_id, after=_read_position())


@bp.get("/<chat_id>/stream")
@needs("chat", "vision", "structured")
def resume_chat(chat_id: str) -> Response:
    """Send the latest resumable stream of a conversation from its beginning, if it is still running."""
    answers = services().answers
    stream_id = answers.find_by_name(name_current_user(), chat_id)
    if stream_id is None:
        return no_content()
    try:
        _, head = answers.find(name_current_user(), stream_id)
    except StreamNotFound:
        return no_content()
    return _resume(stream_id, after=0) if head.is_running else no_content()


@bp.post("/stream/<stream_id>/stop")
@needs("chat", "vision", "structured")
def stop(stream_id: str) -> Response:
    """Stop a resumable stream."""
    reader, head = services().answers.find(name_current_user(), stream_id)
    if head.is_running:
        reader.request_stop()
    return no_content()


def accept_token_in_url(api: Blueprint) -> None:
    """Accept the credential of a resumed stream in `access_token`, too, as an EventSource cannot send headers."""
    endpoint = f"{api.name}.{bp.name}.resume"

    def read_token() -> None:
        request = current_request()
        if not request.query_string or request.endpoint != endpoint:
            return
        token = request.args.get("access_token")
        # API keys are refused: URLs are logged, and a key allows more than this.
        if token and not token.startswith(KEY_PREFIX) and "HTTP_AUTHORIZATION" not in request.environ:
            request.environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"

    api.before_request(read_token)


def _resume(stream_id: str, *, after: int) -> Response:
    reader, head = services().answers.find(name_current_user(), stream_id, after=after)
    if head.state == "dropped":
        raise StreamNotFound
    # Only numbered events are counted.
    has_all = after >= head.events if head.events else not head.pages
    if has_all and not head.is_running:
        return no_content()
    return follow_answer(reader, head)


def _read_position() -> int:
    """Return the number of the last event that the client has received."""
    text = request.headers.get("Last-Event-ID") or request.args.get("after") or "0"
    if not text.isascii() or not text.isdecimal() or len(text) > _MAX_DIGITS:
        raise InvalidRequest("must be the number of an event.", field="Last-Event-ID")
    return int(text)
