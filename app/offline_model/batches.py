"""Answer batches, which complete one second after they were created.

There is no background work: the first request for a batch after that second processes it, in any process.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import orjson

from app.offline_model import embeddings
from app.offline_model.files import Folder, new_id, parse
from app.offline_model.player import Player
from app.offline_model.requests.errors import InvalidRequestError
from app.offline_model.requests.fields import JsonObject, invalid_value, string

_DURATION_S = 1.0
_DAY_S = 86_400
_ANSWERS: dict[str, Callable[[Player, JsonObject], JsonObject]] = {
    "/v1/chat/completions": lambda player, body: player.complete(body).to_dict(),
    "/v1/responses": lambda player, body: player.respond(body).to_dict(),
    "/v1/embeddings": lambda _, body: embeddings.create(body),
}


def create(folder: Folder, body: JsonObject) -> JsonObject:
    """Answer `POST /batches`."""
    file_id = string(body, "input_file_id")
    endpoint = string(body, "endpoint")
    if endpoint not in _ANSWERS:
        raise invalid_value("endpoint", " or ".join(map(repr, _ANSWERS)))
    if string(body, "completion_window") != "24h":
        raise invalid_value("completion_window", "'24h'")
    lines = parse(folder.read(file_id))
    now = int(time.time())
    batch = {
        "id": new_id("batch"),
        "object": "batch",
        "endpoint": endpoint,
        "errors": None,
        "input_file_id": file_id,
        "completion_window": "24h",
        "status": "in_progress",
        "output_file_id": None,
        "error_file_id": None,
        "created_at": now,
        "in_progress_at": now,
        "expires_at": now + _DAY_S,
        "request_counts": {"total": len(lines), "completed": 0, "failed": 0},
        "metadata": body.get("metadata"),
        "due_at": time.time() + _DURATION_S,
    }
    if problems := _find_problems(lines, endpoint):
        batch |= {"status": "failed", "failed_at": now, "errors": {"object": "list", "data": problems}}
    return _save(folder, batch)


def show(folder: Folder, batch_id: str, player: Player) -> JsonObject:
    """Answer `GET /batches/<id>`."""
    batch = _read(folder, batch_id)
    if batch["status"] == "in_progress" and time.time() >= batch["due_at"]:
        return _process(folder, batch, player)
    return _to_response(batch)


def cancel(folder: Folder, batch_id: str, player: Player) -> JsonObject:
    """Answer `POST /batches/<id>/cancel`."""
    if show(folder, batch_id, player)["status"] != "in_progress":
        raise InvalidRequestError("This batch has ended.", status=409)
    now = int(time.time())
    return _save(
        folder, _read(folder, batch_id) | {"status": "cancelled", "cancelling_at": now, "cancelled_at": now}
    )


def show_all(folder: Folder, after: str | None, limit: int) -> JsonObject:
    """Answer `GET /batches`, newest first."""
    found = [_read(folder, name) for name in folder.names("batch") if name.count("_") == 2]
    found.sort(key=lambda batch: (batch["due_at"], batch["id"]), reverse=True)
    ids = [batch["id"] for batch in found]
    start = ids.index(after) + 1 if after in ids else 0
    data = [_to_response(batch) for batch in found[start : start + limit]]
    return {"object": "list", "data": data, "has_more": start + limit < len(found)}


def _process(folder: Folder, batch: JsonObject, player: Player) -> JsonObject:
    """Answer all requests of a batch. Two processes at once write the same result twice."""
    answered: list[JsonObject] = []
    refused: list[JsonObject] = []
    for line in parse(folder.read(batch["input_file_id"])):
        assert line is not None, "it was checked when the batch was made"
        status, body = _answer(player, batch["endpoint"], line["body"])
        (answered if status == 200 else refused).append(
            {
                "id": f"batch_req_offline_{uuid.uuid4().hex}",
                "custom_id": line["custom_id"],
                "response": {"status_code": status, "request_id": f"req_offline_{uuid.uuid4().hex}", "body": body},
                "error": None,
            }
        )
    for name, lines in (("output", answered), ("error", refused)):
        if lines:
            file_id = f"{batch['id']}_{'output' if name == 'output' else 'errors'}"
            folder.write(file_id, b"".join(orjson.dumps(line) + b"\n" for line in lines))
            batch[f"{name}_file_id"] = file_id
    counts = {"total": len(answered) + len(refused), "completed": len(answered), "failed": len(refused)}
    return _save(
        folder, batch | {"status": "completed", "completed_at": int(time.time()), "request_counts": counts}
    )


def _answer(player: Player, endpoint: str, body: JsonObject) -> tuple[int, JsonObject]:
    try:
        return 200, _ANSWERS[endpoint](player, body)
    except InvalidRequestError as error:
        return error.status, error.body()


def _find_problems(lines: list[JsonObject | None], endpoint: str) -> list[JsonObject]:
    """Return the problems of a batch's file, in OpenAI's form."""
    problems = [] if lines else [_problem("empty_file", "The file has no requests.", None)]
    seen: set[Any] = set()
    models: set[Any] = set()
    for number, line in enumerate(lines, 1):
        body = line.get("body") if line is not None else None
        if line is None or not isinstance(line.get("custom_id"), str) or not isinstance(body, dict):
            problems.append(_problem("invalid_json_line", "This line is not a request.", number))
            continue
        if line.get("url") != endpoint or line.get("method") != "POST":
            problems.append(_problem("mismatched_url", "The url is not the batch's endpoint.", number))
        if line["custom_id"] in seen:
            problems.append(_problem("duplicate_custom_id", "The custom_id is not unique.", number))
        seen.add(line["custom_id"])
        models.add(str(body.get("model")))
    if len(models) > 1:
        problems.append(_problem("mismatched_model", "All requests must name the same model.", None))
    return problems


def _problem(code: str, message: str, line: int | None) -> JsonObject:
    return {"code": code, "message": message, "param": None, "line": line}


def _read(folder: Folder, batch_id: str) -> JsonObject:
    if not batch_id.startswith("batch_"):
        raise folder.not_found(batch_id)
    batch: JsonObject = orjson.loads(folder.read(batch_id))
    return batch


def _save(folder: Folder, batch: JsonObject) -> JsonObject:
    folder.write(batch["id"], orjson.dumps(batch))
    return _to_response(batch)


def _to_response(batch: JsonObject) -> JsonObject:
    return {name: value for name, value in batch.items() if name != "due_at"}
