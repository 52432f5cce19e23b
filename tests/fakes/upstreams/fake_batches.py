"""FakeBatches: an upstream of files and batches at the wire, as strict as OpenAI, that does nothing until it is told."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable
from typing import Any

import httpx2
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from app.models.families import find_refusal
from tests.fakes.upstreams.openai_answers import completion, error
from tests.fakes.upstreams.strictness import TODAY

ENDPOINTS = {"/v1/chat/completions", "/v1/responses", "/v1/embeddings"}
Hook = Callable[[], "httpx2.Response | None"]


class FakeBatches:
    """Batches stay `in_progress` until end() is called. Hooks stand in for an answer, or fail, at one route.

    Attributes:
        asked: each request as "POST /v1/batches", in order.
        before, after: hooks by route, called once: `before` it is done, or when it is but nobody has been told.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.batches: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.before: dict[str, list[Hook]] = {}
        self.after: dict[str, list[Hook]] = {}
        self.names: list[str] = []
        self.page = 100
        self._numbers = itertools.count(1)

    @property
    def http_client(self) -> httpx2.Client:
        return httpx2.Client(transport=httpx2.MockTransport(self._handle))

    def requests(self, batch: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """The lines of a batch's file, by default of the only batch."""
        return [json.loads(line) for line in self.files[(batch or self.only)["input_file_id"]].splitlines()]

    @property
    def only(self) -> dict[str, Any]:
        (batch,) = self.batches
        return batch

    def end(
        self,
        *bodies: Any,
        status: str = "completed",
        batch: dict[str, Any] | None = None,
        lines: list[bytes] | None = None,
    ) -> None:
        """End a batch, whose requests were answered with these bodies, but for those that OpenAI refuses.

        Args:
            bodies: of each request in order: an answer; (status, body) for a refusal; None for one that was not done.
            lines: the answers' file as it is, instead.
        """
        batch = batch or self.only
        answered, refused = [], []
        for request, body in zip(self.requests(batch), bodies, strict=False):
            refusal = find_refusal(request["url"], request["body"], today=TODAY)
            if refusal is not None:
                refused.append(line_of(request["custom_id"], {"error": refusal.error}, refusal.status))
            elif isinstance(body, tuple):
                refused.append(line_of(request["custom_id"], body[1], body[0]))
            elif body is None:
                code = f"batch_{'expired' if status == 'expired' else 'cancelled'}"
                lost = {"id": "r", "custom_id": request["custom_id"], "response": None, "error": {"code": code}}
                refused.append(json.dumps(lost).encode())
            else:
                answered.append(line_of(request["custom_id"], body))
        # OpenAI writes them as they come.
        answered.reverse()
        batch["output_file_id"] = self._keep(answered if lines is None else lines)
        batch["error_file_id"] = self._keep(refused)
        batch["status"] = status
        batch["request_counts"] |= {"completed": len(answered), "failed": len(refused)}

    def fail(self, route: str, status: int, **fields: Any) -> None:
        """Have the next request of a route refused."""
        body = error(**fields)
        self.before.setdefault(route, []).append(lambda: httpx2.Response(status, json=body))

    def _keep(self, lines: list[bytes]) -> str | None:
        if not lines:
            return None
        file_id = f"file-{next(self._numbers)}"
        self.files[file_id] = b"\n".join(lines) + b"\n"
        return file_id

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        assert request.headers["authorization"].startswith("Bearer sk-")
        method, path = request.method, request.url.path
        kind = path.split("/")[2]
        route = f"{method} {path}"
        for part in path.split("/")[3:4]:
            route = route.replace(part, "*")
        self.asked.append(route)
        for hook in _taken(self.before, route):
            if (response := hook()) is not None:
                return response
        answer = getattr(self, f"_{method.lower()}_{kind}")(request, *path.split("/")[3:])
        for hook in _taken(self.after, route):
            if (response := hook()) is not None:
                return response
        return answer if isinstance(answer, httpx2.Response) else httpx2.Response(200, json=answer)

    def _post_files(self, request: httpx2.Request) -> Any:
        with _form(request) as form:
            file = form.files["file"]
            assert form.form.to_dict() == {"purpose": "batch"}
            assert file.filename is not None and file.filename.endswith(".jsonl")
            self.names.append(file.filename)
            content = file.read()
        for line in content.splitlines():
            assert set(json.loads(line)) == {"custom_id", "method", "url", "body"}
        file_id = f"file-{next(self._numbers)}"
        self.files[file_id] = content
        return {"id": file_id, "object": "file", "bytes": len(content), "purpose": "batch", "status": "processed"}

    def _get_files(self, request: httpx2.Request, file_id: str, content: str) -> Any:
        assert content == "content"
        if file_id not in self.files:
            return httpx2.Response(404, json=error("No such File object", code="not_found"))
        return httpx2.Response(200, content=self.files[file_id])

    def _delete_files(self, request: httpx2.Request, file_id: str) -> Any:
        if self.files.pop(file_id, None) is None:
            return httpx2.Response(404, json=error("No such File object"))
        return {"id": file_id, "object": "file", "deleted": True}

    def _post_batches(self, request: httpx2.Request, batch_id: str = "", action: str = "") -> Any:
        if batch_id:
            assert action == "cancel" and not request.content
            batch = self._find(batch_id)
            if batch["status"] not in ("validating", "in_progress"):
                return httpx2.Response(409, json=error("Cannot cancel"))
            batch["status"] = "cancelling"
            return batch
        body = json.loads(request.content)
        assert body["completion_window"] == "24h" and body["endpoint"] in ENDPOINTS
        assert all(isinstance(value, str) and len(value) <= 512 for value in body["metadata"].values())
        number = next(self._numbers)
        batch = {
            "id": f"batch_{number}",
            "object": "batch",
            "endpoint": body["endpoint"],
            "errors": None,
            "input_file_id": body["input_file_id"],
            "completion_window": "24h",
            "status": "in_progress",
            "output_file_id": None,
            "error_file_id": None,
            "created_at": 1_795_176_000 + number,
            "metadata": body["metadata"],
        }
        lines = [json.loads(line) for line in self.files[body["input_file_id"]].splitlines()]
        batch["request_counts"] = {"total": len(lines), "completed": 0, "failed": 0}
        if fault := _fault(lines, body["endpoint"]):
            data = [{"code": fault, "message": "secret words", "line": 1, "param": None}]
            batch |= {"status": "failed", "errors": {"object": "list", "data": data}}
        self.batches.insert(0, batch)
        return batch

    def _get_batches(self, request: httpx2.Request, batch_id: str = "") -> Any:
        if batch_id:
            return self._find(batch_id)
        after, limit = request.url.params.get("after"), int(request.url.params["limit"])
        assert 1 <= limit <= 100
        ids = [batch["id"] for batch in self.batches]
        start = ids.index(after) + 1 if after else 0
        return {"object": "list", "data": self.batches[start : start + limit]}

    def _find(self, batch_id: str) -> Any:
        found = [batch for batch in self.batches if batch["id"] == batch_id]
        return found[0] if found else httpx2.Response(404, json=error("No batch"))


def line_of(custom_id: str, body: Any, status: int = 200) -> bytes:
    """A line of an output or error file."""
    response = {"status_code": status, "request_id": "r", "body": body}
    return json.dumps({"id": "batch_req_1", "custom_id": custom_id, "response": response, "error": None}).encode()


def answer(
    text: str = "Hello", *, prompt: int = 9, completion_tokens: int = 3, cached: int = 0, reasoning: int = 0
) -> dict[str, Any]:
    """A chat completion that says what it used."""
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
    return completion(text, usage=usage)


def _taken(hooks: dict[str, list[Hook]], route: str) -> list[Hook]:
    return [hooks[route].pop(0)] if hooks.get(route) else []


def _form(request: httpx2.Request) -> Request:
    builder = EnvironBuilder(
        method="POST", input_stream=io.BytesIO(request.content), headers=dict(request.headers.items())
    )
    return Request(builder.get_environ())


def _fault(lines: list[dict[str, Any]], endpoint: str) -> str | None:
    if any(line["url"] != endpoint or line["method"] != "POST" for line in lines):
        return "mismatched_endpoint"
    if len({line["custom_id"] for line in lines}) < len(lines):
        return "duplicate_custom_id"
    if len({line["body"]["model"] for line in lines}) != 1:
        return "mismatched_model"
    return None
