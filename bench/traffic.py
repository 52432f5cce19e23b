"""The requests, in the form of each server, and the checks of their answers."""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import orjson

from bench.upstream import answers

ORIGIN = "http://localhost:3000"
OPENAI = "openai"
RESPONSES = "responses"
GATEHOUSE = "gatehouse"
UI_STREAM = "ui-message-stream"
AGUI = "ag-ui"

# The model's name sets what the fake upstream does: see answers.Script.
AT_ONCE = "bench"
BRIEF_DELAY = "bench-d3"
SLOW = "bench-d100"
STREAM = "bench-s150x20"
SHORT_STREAM = "bench-s40x20"
LONG_STREAM = "bench-s400x50"
ONE_CHUNK = "bench-s1x0"
MODELS = (AT_ONCE, BRIEF_DELAY, SLOW, STREAM, SHORT_STREAM, LONG_STREAM, ONE_CHUNK)

# When the fake upstream sent a chunk, in ns of the clock that all processes share.
STAMP = re.compile(rb"t=(\d{%d});" % answers.STAMP_DIGITS)

_TEXT = "Where do the keys stay, who may pass the gate at night, and who writes down the names of those who did? "
_PATHS = {
    (OPENAI, "chat"): "/v1/chat/completions",
    (OPENAI, "stream"): "/v1/chat/completions",
    (OPENAI, "embeddings"): "/v1/embeddings",
    (RESPONSES, "stream"): "/v1/responses",
    (GATEHOUSE, "chat"): "/api/chat",
    (GATEHOUSE, "stream"): "/api/chat/stream",
    (GATEHOUSE, "embeddings"): "/api/embeddings",
    (UI_STREAM, "stream"): "/api/chat",
    (AGUI, "stream"): "/api/agui",
}


@dataclass(frozen=True)
class Call:
    """One kind of request.

    operation is chat, stream or embeddings; size counts its messages or texts; model tells the fake upstream
    how to answer (see answers.Script); dialect is that of the request, where it is not the target's own.
    """

    operation: str
    size: int = 4
    model: str = AT_ONCE
    dialect: str = ""


@dataclass(frozen=True)
class Job:
    """One piece of work for the load client; it goes to its process as JSON.

    Each of the connections sends its next request when it has its answer. pids are the processes whose CPU is
    counted meanwhile; open_s is for streams: over how long their starts are spread.
    """

    target: str
    port: int
    dialect: str
    call: Call
    connections: int = 1
    seconds: float = 1.0
    min_requests: int = 0
    open_s: float = 0.3
    hold_s: float = 0.0
    pids: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Encode the job for the load client's standard input."""
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> "Job":
        """Decode a job that to_json() has encoded."""
        fields = orjson.loads(data)
        return cls(**{**fields, "call": Call(**fields["call"])})


def request_bytes(job: Job) -> bytes:
    """Return the complete HTTP request, headers and body."""
    path, body = path_and_body(job.dialect, job.call)
    headers = {
        "Host": f"127.0.0.1:{job.port}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Accept": "*/*",
        **job.headers,
    }
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def path_and_body(dialect: str, call: Call) -> tuple[str, bytes]:
    """Return the path and the body of the POST request."""
    body: dict[str, object] = {"model": call.model}
    if call.operation == "embeddings":
        body["input"] = [f"{i}: {_TEXT}" for i in range(call.size)]
    else:
        roles = ("user", "assistant")
        body["messages"] = [{"role": roles[i % 2], "content": f"{i}: {_TEXT}"} for i in range(call.size - 1)]
        body["messages"] += [{"role": "user", "content": "And now?"}]  # type: ignore[operator]
    if dialect == OPENAI and call.operation == "stream":
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if dialect == RESPONSES:
        body |= {"stream": True, "input": body.pop("messages")}
    if dialect == UI_STREAM:
        turns = [_to_ui_message(turn, i) for i, turn in enumerate(body["messages"])]  # type: ignore[arg-type]
        body |= {"id": "bench", "trigger": "submit-message", "messages": turns}
    if dialect == AGUI:
        turns = [{"id": f"m{i}", **turn} for i, turn in enumerate(body["messages"])]  # type: ignore[arg-type]
        page = {"threadId": "t", "runId": "r", "tools": [], "context": [], "state": {}}
        body = page | {"messages": turns, "forwardedProps": {"model": body["model"]}}
    return _PATHS[dialect, call.operation], orjson.dumps(body)


def _to_ui_message(turn: dict[str, str], number: int) -> dict[str, object]:
    return {"id": f"m{number}", "role": turn["role"], "parts": [{"type": "text", "text": turn["content"]}]}


def ends_stream(dialect: str, tail: bytes) -> bool:
    """Return whether a complete stream ends like this."""
    if dialect == RESPONSES:
        return b'"usage":{' in tail
    if dialect == AGUI:
        return b'"RUN_FINISHED"' in tail
    return b'"done"' in tail if dialect == GATEHOUSE else tail.rstrip().endswith(b"data: [DONE]")


def checker(job: Job) -> Callable[[int, bytes], str | None]:
    """Return a function that takes a status and a body, and returns the problem with them, or None.

    The first vectors are decoded and compared, of the next ones only the bytes are counted: checking must not
    cost more than serving.
    """
    good_size = 0

    def check(status: int, body: bytes) -> str | None:
        nonlocal good_size
        if status != 200:
            return f"answered {status}: {body[:300].decode(errors='replace')}"
        if job.call.operation == "chat":
            return None if answers.REPLY[:40].encode() in body else f"lost the reply: {body[:300]!r}"
        if not good_size and not _has_all_vectors(job, body):
            return f"did not answer with the {job.call.size} vectors asked for: {body[:300]!r}"
        good_size = good_size or len(body)
        return None if abs(len(body) - good_size) <= 200 else f"answered with {len(body)} bytes, then {good_size}"

    return check


def _has_all_vectors(job: Job, body: bytes) -> bool:
    answer = orjson.loads(body)
    vectors = [item["embedding"] for item in answer["data"]] if "data" in answer else answer["embeddings"]
    return len(vectors) == job.call.size and all(
        len(got) == answers.DIMENSIONS and abs(got[-1] - answers.vector(i % 16)[-1]) < 1e-8
        for i, got in enumerate(vectors)
    )
