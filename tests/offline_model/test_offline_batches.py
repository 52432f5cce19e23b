"""Files and batches of the offline model, through the official client, over one directory for several processes."""

import io
import json
import os
from concurrent.futures import ThreadPoolExecutor

import httpx2
import openai
import pytest

from app.offline_model import create_offline_model
from tests.fakes.tables import each_row

CHAT = {"model": "gpt-test", "messages": [{"role": "user", "content": "Hello"}]}


def line(name="a", url="/v1/chat/completions", method="POST", **body):
    return {"custom_id": name, "method": method, "url": url, "body": {**CHAT, **body}}


class Clock:
    def __init__(self):
        self.now = 1_795_176_000.0


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in ("batches", "files"):
        monkeypatch.setattr(f"app.offline_model.{module}.time.time", lambda: clock.now)
    return clock


@pytest.fixture
def process(tmp_path, clock):
    """Another process over the same directory."""

    def process():
        app = create_offline_model(token_delay_s=0, directory=tmp_path / "offline")
        http = httpx2.Client(transport=httpx2.WSGITransport(app=app))
        return openai.OpenAI(api_key="o", base_url="http://offline/v1", http_client=http, max_retries=0)

    return process


@pytest.fixture
def client(process):
    return process()


def upload(client, *lines):
    content = b"\n".join(each if isinstance(each, bytes) else json.dumps(each).encode() for each in lines)
    return client.files.create(file=("requests.jsonl", io.BytesIO(content)), purpose="batch")


def create(client, *lines, endpoint="/v1/chat/completions", **fields):
    file = upload(client, *lines)
    return client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", **fields)


def lines_of(client, file_id):
    return [json.loads(text) for text in client.files.content(file_id).text.splitlines()]


def test_a_batch_is_answered_a_second_later_whichever_process_is_asked(process, clock):
    made = create(process(), line("a"), line("b", temperature=3), line("c"), metadata={"mine": "7"})
    assert (made.status, made.request_counts.total, made.metadata) == ("in_progress", 3, {"mine": "7"})
    assert process().batches.retrieve(made.id).status == "in_progress"

    clock.now += 1
    other = process()
    done = other.batches.retrieve(made.id)

    assert done.status == "completed"
    assert (done.request_counts.completed, done.request_counts.failed) == (2, 1)
    answers, refusals = lines_of(process(), done.output_file_id), lines_of(other, done.error_file_id)
    assert [answer["custom_id"] for answer in answers] == ["a", "c"]
    completion = answers[0]["response"]["body"]
    assert answers[0]["response"]["status_code"] == 200
    assert completion["model"] == "offline"
    assert "Hello" in completion["choices"][0]["message"]["content"]
    assert refusals[0]["response"]["status_code"] == 400
    assert refusals[0]["response"]["body"]["error"]["param"] == "temperature"
    # It stays as it is.
    assert process().batches.retrieve(made.id).output_file_id == done.output_file_id
    assert lines_of(process(), done.output_file_id) == answers


def test_embeddings(client, clock):
    made = create(
        client,
        {"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": {"model": "e", "input": ["x", "y"]}},
        endpoint="/v1/embeddings",
    )
    clock.now += 1

    (answer,) = lines_of(client, client.batches.retrieve(made.id).output_file_id)

    assert len(answer["response"]["body"]["data"]) == 2


@each_row(
    ("lines", "code"),
    [
        ([], "empty_file"),
        ([b"{"], "invalid_json_line"),
        ([b"[]"], "invalid_json_line"),
        ([{"custom_id": "a"}], "invalid_json_line"),
        ([line(url="/v1/embeddings")], "mismatched_url"),
        ([line(method="GET")], "mismatched_url"),
        ([line("a"), line("a")], "duplicate_custom_id"),
        ([line("a"), line("b", model="another")], "mismatched_model"),
    ],
)
def test_a_file_that_is_off_fails_as_a_whole(client, clock, lines, code):
    made = create(client, *lines)

    assert (made.status, made.errors.data[0].code) == ("failed", code)
    clock.now += 1
    assert client.batches.retrieve(made.id).output_file_id is None


def test_a_batch_can_be_cancelled_until_it_is_answered(client, clock):
    first, second = create(client, line()), create(client, line())

    assert client.batches.cancel(first.id).status == "cancelled"
    clock.now += 1
    assert client.batches.retrieve(first.id).output_file_id is None
    with pytest.raises(openai.ConflictError):
        client.batches.cancel(second.id)


def test_batches_are_listed_the_newest_first(client, clock):
    ids = []
    for _ in range(3):
        ids.append(create(client, line()).id)
        clock.now += 2

    assert [batch.id for batch in client.batches.list()] == ids[::-1]
    assert [batch.id for batch in client.batches.list(limit=1)] == ids[::-1]


def test_files_can_be_looked_at_and_deleted(client, process):
    file = upload(client, line())

    assert process().files.retrieve(file.id).bytes == file.bytes
    assert client.files.delete(file.id).deleted
    for ask in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError):
            ask(file.id)


@each_row("name", ["..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "batch_offline_0", ".x"])
def test_no_other_file_can_be_had_by_its_name(client, name):
    upload(client, line())

    for path in (f"/files/{name}", f"/files/{name}/content", f"/batches/{name}"):
        with pytest.raises(openai.NotFoundError):
            client.get(path, cast_to=httpx2.Response)


def test_other_files_and_endpoints_are_refused(client):
    with pytest.raises(openai.BadRequestError):
        client.files.create(file=("a.jsonl", io.BytesIO(b"x")), purpose="fine-tune")
    with pytest.raises(openai.BadRequestError):
        client.post("/files", cast_to=httpx2.Response, body={"purpose": "batch"})
    with pytest.raises(openai.BadRequestError):
        create(client, line(), endpoint="/v1/moderations")
    with pytest.raises(openai.NotFoundError):
        client.batches.create(input_file_id="file_offline_0", endpoint="/v1/embeddings", completion_window="24h")


def test_files_are_kept_for_thirty_days_and_for_nobody_else(client, clock, tmp_path):
    file = upload(client, line())
    (kept,) = (tmp_path / "offline").iterdir()
    assert (kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    os.utime(kept, (clock.now - 31 * 86_400, clock.now - 31 * 86_400))

    upload(client, line())

    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)


def test_two_that_ask_at_once_find_the_same(process, clock):
    made = create(process(), *[line(str(number)) for number in range(50)])
    clock.now += 1
    clients = [process() for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda client: client.batches.retrieve(made.id), clients))

    assert {batch.status for batch in found} == {"completed"}
    assert len(lines_of(clients[0], found[0].output_file_id)) == 50


def test_without_a_directory_there_are_none(offline):
    with pytest.raises(openai.NotFoundError):
        upload(offline, line())
