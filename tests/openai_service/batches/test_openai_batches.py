"""OpenAIBatches over real sockets and our own HTTP client, against the offline model as a server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from app.config import Config
from app.offline_model import create_offline_model
from app.openai_service import CHAT_PATH, OpenAIBatches, build_client, read_line
from app.openai_service.batches.objects import read_batch
from app.openai_service.errors import UpstreamFailed, UpstreamTimeout
from tests.fakes.raw_server import CLOSE, READ, RawServer, Step, answer, chunked

FILE = b"".join(
    orjson.dumps(
        {
            "custom_id": f"request-{place}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "m", "messages": [{"role": "user", "content": "Жук " * 100}]},
        }
    )
    + b"\n"
    for place in range(200)
)


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_: object) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("app.offline_model.batches._DURATION_S", 0.0)
    server = make_server(
        "127.0.0.1", 0, create_offline_model(directory=tmp_path), threaded=True, request_handler=_Quiet
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def batches_at(url: str) -> Iterator[OpenAIBatches]:
    config = Config(openai_api_key="sk-1", openai_base_url=url)
    with build_client(config.connection) as client:
        yield OpenAIBatches(config.upstream_batches, client)


def within(seconds: float) -> float:
    return time.monotonic() + seconds


@pytest.fixture
def batches(address: str) -> Iterator[OpenAIBatches]:
    with batches_at(address) as batches:
        yield batches


def test_a_batch_goes_all_its_way(batches: OpenAIBatches) -> None:
    file_id = batches.upload("batch_1.jsonl", FILE, deadline=within(5))
    made = batches.create(file_id, CHAT_PATH, "batch_1", deadline=within(5))
    found = batches.find("batch_1", since_s=0, deadline=within(5))
    done = batches.retrieve(made.id, deadline=within(5))

    assert found is not None and found.id == made.id
    assert batches.find("batch_2", since_s=0, deadline=within(5)) is None
    assert (done.status, done.completed, done.reference, done.input_file_id) == (
        "completed",
        200,
        "batch_1",
        file_id,
    )
    assert done.output_file_id is not None
    lines = [read_line(line) for line in batches.read_lines(done.output_file_id, deadline=within(5))]
    assert [line.custom_id for line in lines if line] == [f"request-{place}" for place in range(200)]
    batches.delete_file(file_id, deadline=within(5))
    with pytest.raises(UpstreamFailed):
        list(batches.read_lines(file_id, deadline=within(5)))


def lines_from(*steps: Step, seconds: float = 5.0) -> list[bytes]:
    with RawServer([READ, *steps]) as server, batches_at(server.url) as batches:
        return list(batches.read_lines("file-1", deadline=within(seconds)))


def test_lines_are_whole_however_they_come() -> None:
    pieces = [b'{"a":1', b'}\n{"b"', b":2}", b"\n\n \n", b'{"c":3}\n{"d":4}\n{"e"', b":5}"]

    assert lines_from(*chunked(*pieces)) == [b'{"a":1}', b'{"b":2}', b'{"c":3}', b'{"d":4}', b'{"e":5}']
    assert lines_from(answer(b"")) == []
    assert lines_from(answer(b"\n")) == []
    assert lines_from(answer(b"x")) == [b"x"]


def test_a_file_that_breaks_off_is_a_failure() -> None:
    with pytest.raises(UpstreamFailed):
        lines_from(*chunked(b'{"a":1}\n')[:-1], CLOSE)


def test_a_file_that_does_not_end_in_time_is_a_failure() -> None:
    with pytest.raises(UpstreamTimeout):
        lines_from(*chunked(b'{"a":1}\n')[:-1], 5.0, seconds=0.2)


def test_a_line_without_end_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.openai_service.batches.client._MAX_LINE", 1_000)
    with pytest.raises(UpstreamFailed):
        lines_from(*chunked(*[b"x" * 300] * 5))


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"{}", b'{"id": 7, "status": "completed"}', b'{"id": "b"}'])
def test_what_is_no_batch_is_a_failure(body: bytes) -> None:
    with (
        RawServer([READ, answer(body)]) as server,
        batches_at(server.url) as batches,
        pytest.raises(UpstreamFailed),
    ):
        batches.retrieve("batch_1", deadline=within(5))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data": 7}', b'{"data": [7]}', b'{"data": [{"id": "b"}]}'])
def test_what_is_no_list_of_batches_is_a_failure(body: bytes) -> None:
    with (
        RawServer([READ, answer(body)]) as server,
        batches_at(server.url) as batches,
        pytest.raises(UpstreamFailed),
    ):
        batches.find("batch_1", since_s=0, deadline=within(5))


@pytest.mark.parametrize("status", ["COMPLETED", "Failed", "canceled", "EXPIRED"])
def test_a_batch_has_ended_however_its_server_spells_it(status: str) -> None:
    assert read_batch(orjson.dumps({"id": "b", "status": status})).has_ended
