"""POST /v1/embeddings, as OpenAI's own client and a reader of its bytes see it."""

from __future__ import annotations

import base64
import struct

import openai
import pytest

from app import create_app
from app.config import Config
from app.web.schemas.v1 import embeddings as schema
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import embeddings, error

MODEL = "text-embedding-3-small"


def test_the_client_of_openai_gets_its_vectors(sdk, upstream, monkeypatch):
    upstream.answers(embeddings([[0.5, -0.25], [1, 0]]))

    answer = sdk.embeddings.create(model=MODEL, input=["Hi", "Ho"])  # which asks for Base64 by default

    assert [item.embedding for item in answer.data] == [[0.5, -0.25], [1, 0]]
    assert [item.index for item in answer.data] == [0, 1]
    assert (answer.model, answer.usage.total_tokens) == (MODEL, 5)
    assert upstream.sent[0].body["input"] == ["Hi", "Ho"]


@pytest.mark.parametrize("asked", [{}, {"encoding_format": "float"}])
def test_numbers_keep_their_digits(client, upstream, asked):
    upstream.answers(embeddings([[0.123456789012345, -1e-7]]))

    answer = client.post("/v1/embeddings", json={"model": MODEL, "input": "Hi", **asked})

    assert answer.json == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.123456789012345, -1e-7]}],
        "model": MODEL,
        "usage": {"prompt_tokens": 5, "total_tokens": 5},
    }


def test_base64_is_of_little_endian_floats(client, upstream):
    upstream.answers(embeddings([[0.5, -0.25]]))

    answer = client.post("/v1/embeddings", json={"model": MODEL, "input": "Hi", "encoding_format": "base64"})

    encoded = base64.b64encode(struct.pack("<2f", 0.5, -0.25)).decode()
    assert answer.json["data"] == [{"object": "embedding", "index": 0, "embedding": encoded}]


@each_row(
    ("given", "sent"),
    [
        ("Hi", ["Hi"]),
        (["Hi"], ["Hi"]),
        ([1, 2, 3], [[1, 2, 3]]),
        ([[1, 2], [3]], [[1, 2], [3]]),
    ],
)
def test_an_input_is_a_text_or_its_tokens(client, upstream, given, sent):
    upstream.answers(embeddings([[1]] * len(sent)))

    answer = client.post("/v1/embeddings", json={"model": MODEL, "input": given, "dimensions": 256, "user": "a"})

    assert answer.status_code == 200, answer.text
    assert (upstream.sent[0].body["input"], upstream.sent[0].body["dimensions"]) == (sent, 256)


def test_the_vectors_of_tokens_are_cached(make_app, upstream):
    client = make_app(embedding_cache_entries=10).test_client()
    upstream.answers(embeddings([[1], [2]]))
    client.post("/v1/embeddings", json={"model": MODEL, "input": [[1, 2], [3]]})

    answer = client.post("/v1/embeddings", json={"model": MODEL, "input": [[3], [1, 2]]})

    assert [item["embedding"] for item in answer.json["data"]] == [[2], [1]]
    assert answer.json["usage"]["total_tokens"] == 0
    assert len(upstream.sent) == 1


@each_row(
    ("fields", "param"),
    [
        ({"input": []}, "input"),
        ({"input": ""}, "input[0]"),
        ({"input": ["Hi", 1]}, "input[1]"),
        ({"input": [1, "Hi"]}, "input[0][1]"),
        ({"input": [[]]}, "input[0]"),
        ({"input": [-1]}, "input[0][0]"),
        ({"input": [True]}, "input[0][0]"),
        ({"input": [1.5]}, "input[0]"),
        ({"input": {"a": 1}}, "input"),
        ({"input": ["a"] * 2_049}, "input"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({}, "input"),
    ],
)
def test_what_is_no_input_is_refused_by_its_name(client, upstream, fields, param):
    answer = client.post("/v1/embeddings", json={"model": MODEL, **fields})

    assert (answer.status_code, answer.json["error"]["param"]) == (400, param)
    assert upstream.sent == []


def test_as_many_tokens_as_openai_takes_are_taken_and_no_more(make_app, upstream):
    client = make_app(max_json_bytes=10_000_000).test_client()
    most = [[1] * 2_000] * 150
    upstream.answers(embeddings([[1]] * 150))

    taken = client.post("/v1/embeddings", json={"model": MODEL, "input": most})
    refused = client.post("/v1/embeddings", json={"model": MODEL, "input": [*most, [1] * 8_000]})

    assert (taken.status_code, refused.status_code) == (200, 400)
    assert len(upstream.sent) == 1


@pytest.mark.parametrize("encoding_format", ["float", "base64"])
def test_a_large_answer_goes_through_a_file(client, upstream, monkeypatch, encoding_format):
    monkeypatch.setattr(schema, "SPOOL_BYTES", 100)
    vectors = [[number, 0.5] for number in range(200)]
    upstream.answers(embeddings(vectors))

    body = {"model": MODEL, "input": ["a"] * 200, "encoding_format": encoding_format}
    answer = client.post("/v1/embeddings", json=body)

    data = answer.json["data"]
    assert int(answer.headers["Content-Length"]) == len(answer.get_data())
    assert [item["index"] for item in data] == list(range(200))
    if encoding_format == "float":
        assert [item["embedding"] for item in data] == vectors
    else:
        assert [list(struct.unpack("<2f", base64.b64decode(item["embedding"]))) for item in data] == vectors


@pytest.mark.one_attempt
def test_vectors_that_are_no_numbers_are_a_failure_of_the_model(make_app, connect, upstream):
    upstream.answers(b'{"data":[{"index":0,"embedding":[1,-]}],"model":"m","usage":{}}')

    with pytest.raises(openai.InternalServerError) as caught:
        connect(make_app()).embeddings.create(model=MODEL, input="Hi")

    assert caught.value.status_code == 502


def test_a_token_list_beyond_the_models_window_is_refused_before_anything_is_spent(sdk, upstream):
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.embeddings.create(model=MODEL, input=[1] * 8_193)

    assert caught.value.code == "context_length_exceeded"
    assert upstream.sent == []


def test_what_the_upstream_refuses_is_told(sdk, upstream):
    upstream.answers(error(code="invalid_value", param="dimensions"), 400)

    with pytest.raises(openai.BadRequestError) as caught:
        sdk.embeddings.create(model=MODEL, input="Hi", dimensions=8)

    assert caught.value.param == "dimensions"


def test_the_offline_model_takes_tokens_as_well():
    client = create_app(Config()).test_client()

    answer = client.post("/v1/embeddings", json={"input": [[1, 2], [3]], "dimensions": 4})

    assert answer.status_code == 200, answer.text
    assert len(answer.json["data"]) == 2
