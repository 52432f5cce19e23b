"""Serve the offline model: a WSGI app that speaks OpenAI's wire format, for development without a key.

It calls no AI and no network, and says so: every answer has `"model": "offline"`. The official client reaches it in
this process (`httpx2.WSGITransport(app=create_offline_model())`) or as a separate server.

- `requests/`: parse and validate request bodies.
- `player`: imitates one of OpenAI's models: its refusals, its reasoning and, with `prompt_cache`, its usage.
- `answer`, `replies`, `tools`: make an answer. `completion`: the form of a chat completion, complete or streamed.
- `responses/`: the form of `/v1/responses`.
- `instances/`: make values that match a JSON schema.
- `embeddings`, `moderations`, `batches`, `files`: the other endpoints.
- `simulation`: refuses, breaks off or pauses on request, for testing pages.
- `images`, `colours`: describe images and files. `tokens`: counts tokens.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import orjson
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from app.models.families import find_family
from app.offline_model import batches, embeddings, files, moderations, simulation
from app.offline_model.answer import Answer
from app.offline_model.files import Folder
from app.offline_model.player import Player
from app.offline_model.requests.errors import InvalidRequestError
from app.offline_model.requests.fields import JsonObject, missing
from app.offline_model.responses.events import encode_events

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["create_offline_model"]

# OpenAI's own maximum for a request with images.
MAX_BODY_BYTES = 50 * 1024 * 1024

MODELS = {
    "object": "list",
    "data": [{"id": "offline", "object": "model", "created": 0, "owned_by": "offline"}],
}


def create_offline_model(
    *, token_delay_s: float = 0.03, directory: Path | None = None, plays: str = ""
) -> WSGIApplication:
    """Build the WSGI app: chat completions, responses, embeddings, moderations, models, files and batches.

    Each path may begin with `/v1`.

    Args:
        token_delay_s: the pause before each streamed token after the first.
        directory: where files and batches are stored, shared by all processes that use it; None disables both.
        plays: the OpenAI model that is imitated if a request names an unknown model; empty: none, so that little is
            refused.

    Raises:
        ValueError: `plays` is not a known model.
    """
    if plays and find_family(plays) is None:
        raise ValueError(f"OFFLINE_MODEL_AS: {plays!r} is not one of the models in docs/models.md")
    folder = None if directory is None else Folder(directory)
    player = Player(plays)

    def offline_model(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            with Request(environ) as request:  # closes uploaded files
                response = _answer(request, token_delay_s, folder, player)
        except InvalidRequestError as error:
            response = _json(error.body(), error.status)
        response.headers["x-request-id"] = f"req_offline_{uuid.uuid4().hex}"
        return response(environ, start_response)

    return offline_model


def _answer(request: Request, token_delay_s: float, folder: Folder | None, player: Player) -> Response:
    match request.method, request.path.removeprefix("/v1"):
        case "GET", "/models":
            return _json(MODELS)
        case "POST", "/embeddings" as path:
            player.check(path, body := _body(request))
            return _json(embeddings.create(body))
        case "POST", "/moderations" as path:
            player.check(path, body := _body(request))
            return _json(moderations.create(body))
        case "POST", "/chat/completions":
            completion = player.complete(_body(request))
            if not completion.answer.request.stream:
                simulation.wait_before_answer()
                return _json(completion.to_dict())
            return _stream(completion.events(simulation.find_delay(token_delay_s)), completion.answer)
        case "POST", "/responses":
            answered = player.respond(_body(request))
            if not answered.answer.request.stream:
                simulation.wait_before_answer()
                return _json(answered.to_dict())
            return _stream(encode_events(answered, simulation.find_delay(token_delay_s)), answered.answer)
    if folder is not None and (response := _answer_about_batches(request, folder, player)) is not None:
        return response
    raise InvalidRequestError(
        f"Unknown request URL: {request.method} {request.path}", status=404, code="unknown_url"
    )


def _answer_about_batches(request: Request, folder: Folder, player: Player) -> Response | None:
    match request.method, *request.path.removeprefix("/v1").strip("/").split("/"):
        case "POST", "files":
            request.max_content_length = MAX_BODY_BYTES
            if (file := request.files.get("file")) is None:
                raise missing("file")
            return _json(files.upload(folder, file.filename or "", file.read(), request.form.get("purpose", "")))
        case "GET", "files", file_id:
            return _json(files.show(folder, file_id))
        case "DELETE", "files", file_id:
            return _json(files.delete(folder, file_id))
        case "GET", "files", file_id, "content":
            return Response(folder.read(file_id), content_type="application/octet-stream")
        case "POST", "batches":
            return _json(batches.create(folder, _body(request)))
        case "GET", "batches":
            limit = request.args.get("limit", 20, type=int)
            return _json(batches.show_all(folder, request.args.get("after"), limit))
        case "GET", "batches", batch_id:
            return _json(batches.show(folder, batch_id, player))
        case "POST", "batches", batch_id, "cancel":
            return _json(batches.cancel(folder, batch_id, player))
    return None


def _body(request: Request) -> JsonObject:
    request.max_content_length = MAX_BODY_BYTES
    try:
        body = orjson.loads(request.get_data())
    except HTTPException as error:
        raise InvalidRequestError(
            "The body could not be read, or is too large.", status=error.code or 400
        ) from error
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError("We could not parse the JSON body of your request.") from error
    if not isinstance(body, dict):
        raise InvalidRequestError("The body must be a JSON object.")
    return body


def _json(body: JsonObject, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status=status, content_type="application/json")


def _stream(events: Iterator[bytes], answer: Answer) -> Response:
    events = simulation.disturb(events, len(answer.pieces))
    return Response(events, content_type="text/event-stream; charset=utf-8", headers={"Cache-Control": "no-cache"})
