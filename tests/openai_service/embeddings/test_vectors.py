from __future__ import annotations

import base64
import json
import struct

import pytest

from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import embeddings, error

pytestmark = pytest.mark.one_attempt

TWO = {"input": ["a", "b"]}


@pytest.fixture
def client(make_app):
    """A client for which no failure opens a circuit."""
    return make_app(breaker_failures=1_000).test_client()


def vectors_of(client, inputs=2):
    answer = client.post("/api/embeddings", json={"input": ["x"] * inputs})
    assert answer.status_code == 200, answer.text
    return answer.json["embeddings"]


def item(index, vector):
    return {"object": "embedding", "index": index, "embedding": vector}


def encoded(*numbers):
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def answering(*items, **fields):
    return {**embeddings([]), "data": list(items), **fields}


def test_vectors_keep_the_very_digits_they_came_with(client, upstream):
    upstream.answers(b'{"data":[{"index":0,"embedding":[0.10,-1E-7,1e-05,3]}],"model":"m","usage":null}')

    answer = client.post("/api/embeddings", json={"input": "a"})

    assert answer.data == b'{"embeddings":[[0.10,-1E-7,1e-05,3]],"model":"m","usage":null}'


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]])
def test_vectors_are_put_into_the_order_of_their_inputs(client, upstream, order):
    upstream.answers(answering(*[item(index, [index, 0.5]) for index in order]))

    assert vectors_of(client, 4) == [[0, 0.5], [1, 0.5], [2, 0.5], [3, 0.5]]


def test_vectors_without_an_index_are_in_their_order_already(client, upstream):
    upstream.answers(answering({"embedding": [1]}, {"embedding": [2]}))

    assert vectors_of(client) == [[1], [2]]


@each_row("indent", [None, 0, 1, 4, "\t"])
@each_row("order", [1, -1])
def test_the_form_of_the_json_does_not_matter(client, upstream, indent, order):
    body = embeddings([[0.25, -1.5e-3], [1, 2]])
    body = dict(list(body.items())[::order])
    body["data"] = [dict(list(entry.items())[::order]) for entry in body["data"]]
    upstream.answers(json.dumps(body, indent=indent).encode() + b"\n")

    assert vectors_of(client) == [[0.25, -1.5e-3], [1, 2]]


def test_vectors_in_base64_are_taken_as_well(client, upstream):
    upstream.answers(answering(item(1, encoded(3.0)), item(0, encoded(0.5, -2.0))))

    assert vectors_of(client) == [[0.5, -2.0], [3.0]]


def test_names_with_brackets_stay_as_they_are(client, upstream):
    upstream.answers(answering(item(0, [1]), item(1, [2]), model="model[1]"))

    answer = client.post("/api/embeddings", json=TWO)

    assert answer.json["model"] == answer.headers["X-Model"] == "model[1]"


@pytest.mark.parametrize("extra", [{"warnings": []}, {"model": "a[b]"}, {"usage": {"details": [1]}}])
def test_another_list_before_the_vectors_does_not_matter(client, upstream, extra):
    upstream.answers({**extra, **answering(item(0, [1]), item(1, [2]))})

    assert vectors_of(client) == [[1], [2]]


@each_row(
    "data",
    [
        [],
        [item(0, [1])],
        [item(0, [1]), item(0, [2])],
        [item(0, [1]), item(2, [2])],
        [item(0, [1]), item(-1, [2])],
        [item(0, [1]), item("1", [2])],
        [item(0, [1]), item(1.0, [2])],
        [item(0, [1]), item(None, [2])],
        [item(0, [1]), item(1, [2]), item(2, [3])],
        [item(0, [1]), item(1, None)],
        [item(0, [1]), item(1, {})],
        [item(0, [1]), item(1, 7)],
        [item(0, [1]), item(1, 0)],
        [item(0, [1]), item(1, True)],
        [item(0, [1]), {"index": 1}],
        [item(0, [1]), None],
        [item(0, [1]), [2]],
        [item(0, [1]), "x"],
        [item(0, [1]), item(1, [None])],
        [item(0, [float("nan")]), item(1, [2])],
        [item(0, [1]), item(1, [float("nan")])],
        [item(0, [1]), item(1, [float("inf")])],
        [item(0, [1]), item(1, [-float("inf")])],
        [item(0, [1]), item(1, ["2"])],
        [item(0, [1]), item(1, [True])],
        [item(0, [1]), item(1, [[2]])],
        [item(0, [1]), item(1, [{}])],
        [item(0, [1]), item(1, "not base64")],
        [item(0, [1]), item(1, base64.b64encode(b"abc").decode())],
        [item(0, [1]), item(1, encoded(float("nan")))],
        [item(0, [1]), item(1, encoded(float("inf")))],
        {"0": item(0, [1])},
        None,
        "x",
    ],
    ids=map(str, range(34)),
)
def test_what_is_not_one_vector_of_numbers_for_each_input_is_a_failure(client, upstream, data):
    upstream.answers(answering() | {"data": data})

    answer = client.post("/api/embeddings", json=TWO)

    assert (answer.status_code, answer.json["code"]) == (502, "upstream_failed")


@each_row("vector", ["[1,,2]", "[1 2]", "[1,]", "[,]", "[0x1]", "[1e999]", "[--1]", "[1", "[.]", "[01]"])
def test_numbers_that_are_none_cannot_be_compared(client, upstream, vector):
    upstream.answers(
        f'{{"data":[{{"index":0,"embedding":{vector}}},{{"index":1,"embedding":{vector}}}]}}'.encode()
    )

    answer = client.post("/api/embeddings/similarity", json={"a": "x", "b": "y"})

    assert (answer.status_code, answer.json["code"]) == (502, "upstream_failed")


def test_an_error_object_in_a_200_keeps_its_meaning(client, upstream):
    upstream.answers(error("see [1] and [2]", code="rate_limit_exceeded"))

    answer = client.post("/api/embeddings", json=TWO)

    assert (answer.status_code, answer.json["code"]) == (503, "upstream_rate_limited")


def test_many_vectors_are_cut_in_time(client, upstream):
    row = [0.012345678901234567 * number for number in range(1536)]
    upstream.answers(answering(*[item(index, row) for index in range(128)]))

    assert vectors_of(client, 128) == [row] * 128


@pytest.mark.parametrize(
    ("a", "b", "similarity"),
    [([1, 0], [0, 1], 0.0), ([3, 4], [3, 4], 1.0), ([1, 0], [-2, 0], -1.0), ([0, 0], [1, 0], 0.0)],
)
def test_similarity_is_the_cosine_of_the_angle(client, upstream, a, b, similarity):
    upstream.answers(embeddings([a, b]))

    answer = client.post("/api/embeddings/similarity", json={"a": "x", "b": "y"})

    assert answer.json == {"similarity": pytest.approx(similarity)}


def test_vectors_of_different_lengths_are_a_failure(client, upstream):
    upstream.answers(embeddings([[1, 0], [1]]))

    assert client.post("/api/embeddings/similarity", json={"a": "x", "b": "y"}).status_code == 502
