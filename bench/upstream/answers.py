"""The answers of the fake upstream, encoded once, in OpenAI's form."""

import base64
import json
import random
import re
from array import array
from dataclasses import dataclass
from functools import cache

DIMENSIONS = 1536
REPLY = "The gatehouse is open: everyone who passes is seen, and the keys stay inside. " * 2
STAMP_DIGITS = 20

_ID = "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT"
_CREATED = 1763640000
_USAGE = {
    "prompt_tokens": 82,
    "completion_tokens": 38,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}
_HEADERS = (
    b"HTTP/1.1 200 OK\r\n"
    b"Date: Thu, 20 Nov 2025 12:00:00 GMT\r\n"
    b"Server: cloudflare\r\n"
    b"openai-organization: bench\r\n"
    b"openai-processing-ms: 12\r\n"
    b"openai-version: 2020-10-01\r\n"
    b"x-ratelimit-limit-requests: 10000\r\n"
    b"x-ratelimit-remaining-requests: 9999\r\n"
    b"x-request-id: req_6f1d9a3c2b7e4f5a8c0d1e2f3a4b5c6d\r\n"
    b"Set-Cookie: __cf_bm=bench; path=/; HttpOnly; Secure; SameSite=None\r\n"
)


@dataclass(frozen=True)
class Script:
    """How to answer, as encoded in the model's name: bench, bench-d100 (ms), bench-s150x20 (chunks x ms)."""

    delay_ms: int = 0
    chunks: int = 20
    interval_ms: int = 0

    @staticmethod
    @cache
    def of(model: str) -> "Script":
        """Parse the parameters in a model's name."""
        delay = re.search(r"-d(\d+)", model)
        stream = re.search(r"-s(\d+)x(\d+)", model)
        return Script(
            delay_ms=int(delay[1]) if delay else 0,
            chunks=int(stream[1]) if stream else 20,
            interval_ms=int(stream[2]) if stream else 0,
        )


def whole(body: bytes, content_type: str = "application/json") -> bytes:
    """One complete answer with its length."""
    return _HEADERS + f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def refuse(status: int, error: dict[str, object]) -> bytes:
    """A refusal with OpenAI's error object."""
    answer = whole(as_json({"error": error}))
    return answer.replace(b" 200 OK", f" {status} Refused".encode(), 1)


@cache
def chat(model: str) -> bytes:
    """A chat.completion of about 600 bytes."""
    message = {"role": "assistant", "content": REPLY, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = {"id": _ID, "object": "chat.completion", "created": _CREATED, "model": model, "choices": [choice]}
    return whole(
        as_json({**body, "usage": _USAGE, "service_tier": "default", "system_fingerprint": "fp_44709d6fcb"})
    )


def stream_opening() -> bytes:
    """The headers of a streamed answer."""
    return _HEADERS + b"Content-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"


@cache
def role_chunk(model: str) -> bytes:
    """The chunk that opens a stream: a role and no text."""
    return frame(_chunk(model, {"role": "assistant", "content": "", "refusal": None}))


@cache
def stamped_chunk(model: str) -> tuple[bytes, bytes]:
    """A chunk of text of about 250 bytes, cut where the digits of its time stamp go."""
    chunk = frame(_chunk(model, {"content": "t=" + "0" * STAMP_DIGITS + "; keys"}))
    before, after = chunk.split(b"0" * STAMP_DIGITS)
    return before, after


@cache
def stream_end(model: str, with_usage: bool) -> bytes:
    """The chunk with the finish reason, the one with the usage where asked for, [DONE], and the end."""
    end = frame(_chunk(model, {}, "stop"))
    if with_usage:
        end += frame(_event(model, choices=[], usage=_USAGE))
    return end + frame(b"data: [DONE]\n\n") + b"0\r\n\r\n"


@cache
def embeddings(model: str, inputs: int, as_base64: bool) -> bytes:
    """As many vectors as there are inputs, written with nine digits a number, or as base64 of float32."""
    vectors = [_vector_json(i % 16, as_base64) for i in range(inputs)]
    data = ",".join(f'{{"object":"embedding","index":{i},"embedding":{v}}}' for i, v in enumerate(vectors))
    usage = f'{{"prompt_tokens":{inputs * 16},"total_tokens":{inputs * 16}}}'
    return whole(f'{{"object":"list","data":[{data}],"model":"{model}","usage":{usage}}}'.encode())


@cache
def vector(which: int) -> tuple[float, ...]:
    """One of sixteen vectors, rounded to nine digits; input i gets vector i % 16."""
    numbers = random.Random(which)
    return tuple(float(f"{numbers.gauss(0, 0.0255):.9g}") for _ in range(DIMENSIONS))


@cache
def _vector_json(which: int, as_base64: bool) -> str:
    if as_base64:
        return '"' + base64.b64encode(array("f", vector(which)).tobytes()).decode() + '"'
    return "[" + ",".join(f"{number:.9g}" for number in vector(which)) + "]"


def _chunk(model: str, delta: dict[str, object], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return _event(model, choices=[choice])


def _event(model: str, **rest: object) -> bytes:
    chunk = {"id": _ID, "object": "chat.completion.chunk", "created": _CREATED, "model": model}
    return b"data: " + as_json({**chunk, "system_fingerprint": "fp_44709d6fcb", **rest}) + b"\n\n"


def frame(event: bytes) -> bytes:
    """One chunk of the chunked transfer encoding."""
    return f"{len(event):x}\r\n".encode() + event + b"\r\n"


def as_json(value: object) -> bytes:
    """JSON without spaces, as OpenAI writes it."""
    return json.dumps(value, separators=(",", ":")).encode()
