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
from app.storage.shared_state import MemoryState
from tests.fakes.upstreams.raw_server import CLOSE, READ, RawServer, Step, answer, chunked

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
        yield OpenAIBatches(config.upstream_batches, client, MemoryState())


def within(seconds: float) -> float:
    return time.monotonic() + seconds


@pytest.fixture
def batches(address: str) -> Iterator[OpenAIBatches]:
    with batches_at(address) as batches:
        yield batches


def test_a_batch_goes_all_its_way(batches: OpenAIBatches) -> None:
    file_id = batches.upload("batch_1.jsonl", FILE, caller="acme/anna", deadline=within(5))
    made = batches.create(file_id, CHAT_PATH, "batch_1", caller="acme/anna", deadline=within(5))
    found = batches.find("batch_1", since_s=0, caller="acme/anna", deadline=within(5))
    done = batches.retrieve(made.id, caller="acme/anna", deadline=within(5))

    assert found is not None and found.id == made.id
    assert batches.find("batch_2", since_s=0, caller="acme/anna", deadline=within(5)) is None
    assert (done.status, done.completed, done.reference, done.input_file_id) == (
        "completed",
        200,
        "batch_1",
        file_id,
    )
    assert done.output_file_id is not None
    lines = [
        read_line(line) for line in batches.read_lines(done.output_file_id, caller="acme/anna", deadline=within(5))
    ]
    assert [line.custom_id for line in lines if line] == [f"request-{place}" for place in range(200)]
    batches.delete_file(file_id, caller="acme/anna", deadline=within(5))
    with pytest.raises(UpstreamFailed):
        list(batches.read_lines(file_id, caller="acme/anna", deadline=within(5)))


def lines_from(*steps: Step, seconds: float = 5.0) -> list[bytes]:
    with RawServer([READ, *steps]) as server, batches_at(server.url) as batches:
        return list(batches.read_lines("file-1", caller="acme/anna", deadline=within(seconds)))


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


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"[]",
        b"{}",
        b'{"id": [7], "status": "completed"}',
        b'{"id": "b", "status": 7.5}',
        b'{"id": "b"}',
    ],
)
def test_what_is_no_batch_is_a_failure(body: bytes) -> None:
    with (
        RawServer([READ, answer(body)]) as server,
        batches_at(server.url) as batches,
        pytest.raises(UpstreamFailed),
    ):
        batches.retrieve("batch_1", caller="acme/anna", deadline=within(5))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data": 7}', b'{"data": [7]}', b'{"data": [{"id": "b"}]}'])
def test_what_is_no_list_of_batches_is_a_failure(body: bytes) -> None:
    with (
        RawServer([READ, answer(body)]) as server,
        batches_at(server.url) as batches,
        pytest.raises(UpstreamFailed),
    ):
        batches.find("batch_1", since_s=0, caller="acme/anna", deadline=within(5))


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("COMPLETED Complete succeeded SUCCESS done ended JOB_STATE_SUCCEEDED BATCH_STATE_COMPLETED", "completed"),
        ("Failed FAILURE JOB_STATE_FAILED error", "failed"),
        ("EXPIRED TIMEOUT_EXCEEDED timeout", "expired"),
        ("canceled CANCELLED Aborted", "cancelled"),
        ("canceling CANCELLATION_REQUESTED", "cancelling"),
        ("IN_PROGRESS In-Progress running QUEUED Pending brewing", "in_progress"),
        ("VALIDATING", "validating"),
    ],
)
def test_a_batch_has_openais_status_however_its_server_spells_it(words: str, status: str) -> None:
    found = {read_batch(orjson.dumps({"id": "b", "status": word})).status for word in words.split()}

    assert found == {status}


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (1_800_000_000, 1_800_000_000),
        (1_800_000_000.75, 1_800_000_000),
        ("1800000000", 1_800_000_000),
        ("1800000000.5", 1_800_000_000),
        (1_800_000_000_123, 1_800_000_000),
        ("2027-01-15T08:00:00Z", 1_800_000_000),
        ("2027-01-15T08:00:00.123456Z", 1_800_000_000),
        ("2027-01-15T10:00:00+02:00", 1_800_000_000),
        ("2027-01-15T08:00:00", 1_800_000_000),
        ("2027-01-15 08:00:00", 1_800_000_000),
        ("yesterday", 0),
        ("", 0),
        (None, 0),
        (-5, 0),
        ("1e999", 0),
        ([], 0),
        ({}, 0),
    ],
)
def test_the_time_of_a_batch_is_read_as_its_server_writes_it(given: object, seconds: int) -> None:
    assert read_batch(orjson.dumps({"id": "b", "status": "queued", "created_at": given})).created_at == seconds


def test_a_batch_of_another_server_is_read() -> None:
    counts = {"completed": "3", "failed": 2.0}
    error = {"code": 429, "message": "full"}
    batch = read_batch(orjson.dumps({"id": 7, "status": "FAILED", "request_counts": counts, "errors": [error]}))

    assert (batch.id, batch.completed, batch.failed, batch.error_code) == ("7", 3, 2, "429")
    for errors in (error, {"data": [error]}, [error]):
        assert read_batch(orjson.dumps({"id": "b", "status": "failed", "errors": errors})).error_code == "429"
    for errors in (None, [], {}, {"data": []}, {"data": None}, "full", [7]):
        assert read_batch(orjson.dumps({"id": "b", "status": "failed", "errors": errors})).error_code is None
    for counts in (None, [], {}, {"completed": None}, {"completed": "many"}, {"completed": -1}):
        batch = read_batch(orjson.dumps({"id": "b", "status": "done", "request_counts": counts}))
        assert (batch.completed, batch.failed) == (0, 0)
    counts = {"succeeded": 3, "errored": 2}
    batch = read_batch(orjson.dumps({"id": "b", "status": "done", "request_counts": counts}))
    assert (batch.completed, batch.failed) == (3, 2)


@pytest.mark.parametrize("status", [200, 200.0, "200"])
def test_a_line_of_another_server_is_read(status: object) -> None:
    response = {"status_code": status, "body": {"a": 1}}
    line = read_line(orjson.dumps({"custom_id": "request-0", "response": response, "error": {"code": 500}}))

    assert line is not None
    assert (line.status, line.body, line.error_code) == (200, {"a": 1}, "500")


def page(*times: object, first: int = 0) -> bytes:
    return answer(
        orjson.dumps(
            {"data": [{"id": f"b{first + n}", "status": "queued", "created_at": at} for n, at in enumerate(times)]}
        )
    )


OURS = answer(orjson.dumps({"data": [{"id": "ours", "status": "queued", "metadata": {"gatehouse_batch": "r"}}]}))


@pytest.mark.parametrize(
    "times",
    [[None] * 100, ["soon"] * 100, list(range(1, 101)), [2_000_000_000 - n for n in range(100)]],
    ids=["no time", "no date", "oldest first", "newer ones first"],
)
def test_a_batch_is_looked_for_on_every_page_that_may_have_it(times: list[object]) -> None:
    with RawServer([READ, page(*times), READ, OURS]) as server, batches_at(server.url) as batches:
        found = batches.find("r", since_s=1_800_000_000, caller="acme/anna", deadline=within(5))

    assert found is not None and found.id == "ours"


def test_it_is_not_looked_for_among_older_ones_nor_where_there_are_no_pages() -> None:
    older = [f"2026-01-{28 - n // 4:02}T00:00:00Z" for n in range(100)]
    with RawServer([READ, page(*older), READ, OURS]) as server, batches_at(server.url) as batches:
        assert batches.find("r", since_s=1_800_000_000, caller="acme/anna", deadline=within(5)) is None
    without_pages = page(*[None] * 100)
    with RawServer([READ, without_pages] * 2) as server, batches_at(server.url) as batches:
        assert batches.find("r", since_s=1_800_000_000, caller="acme/anna", deadline=within(5)) is None
