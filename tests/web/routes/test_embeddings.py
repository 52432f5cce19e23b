from __future__ import annotations

import pytest

from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import embeddings


def test_one_text_becomes_one_vector(client, upstream):
    upstream.answers(embeddings([[0.5, -0.5]]))

    answer = client.post("/api/embeddings", json={"input": "Hi"})

    assert answer.json == {
        "embeddings": [[0.5, -0.5]],
        "model": "text-embedding-3-small",
        "usage": {"prompt_tokens": 5, "total_tokens": 5},
    }
    assert upstream.sent[0].path == "/v1/embeddings"
    assert upstream.sent[0].body == {
        "model": "text-embedding-3-small",
        "input": ["Hi"],
        "encoding_format": "float",
    }
    assert answer.headers["Content-Type"] == "application/json"
    assert (answer.headers["X-Model"], answer.headers["X-Attempts"]) == ("text-embedding-3-small", "1")


def test_many_texts_become_as_many_vectors_in_their_order(client, upstream):
    texts = [f"text {number}" for number in range(2_048)]
    upstream.answers(embeddings([[number] for number in range(2_048)]))

    answer = client.post("/api/embeddings", json={"input": texts})

    assert answer.json["embeddings"] == [[number] for number in range(2_048)]
    assert upstream.sent[0].body["input"] == texts


def test_the_model_and_the_number_of_dimensions_are_sent_on(make_app, upstream):
    client = make_app(allowed_models=("text-embedding-3-large",)).test_client()
    upstream.answers(embeddings([[1]]))

    client.post("/api/embeddings", json={"input": "Hi", "model": "text-embedding-3-large", "dimensions": 256})

    assert (upstream.sent[0].body["model"], upstream.sent[0].body["dimensions"]) == ("text-embedding-3-large", 256)


def test_texts_are_sent_as_they_are(client, upstream):
    text = '  é\u2028\u0000\t"\\ Ж 😀  '.replace("\u0000", "")
    upstream.answers(embeddings([[1]]))

    client.post("/api/embeddings", json={"input": text})

    assert upstream.sent[0].body["input"] == [text]


def test_two_texts_are_compared(client, upstream):
    upstream.answers(embeddings([[1, 0], [0.6, 0.8]]))

    answer = client.post("/api/embeddings/similarity", json={"a": "Hi", "b": "Ho"})

    assert answer.json == {"similarity": pytest.approx(0.6)}
    assert upstream.sent[0].body["input"] == ["Hi", "Ho"]
    assert answer.headers["X-Attempts"] == "1"


DOCUMENTS = [[0.6, 0.8], [1, 0], [0, 1], [-1, 0]]


@each_row(("top_k", "order"), [(None, [1, 0, 2, 3]), (2, [1, 0]), (1, [1]), (99, [1, 0, 2, 3])])
def test_documents_come_back_with_the_best_first(client, upstream, top_k, order):
    upstream.answers(embeddings([[1, 0], *DOCUMENTS]))
    names = ["near", "same", "apart", "opposite"]
    body = {"query": "q", "documents": names} | ({"topK": top_k} if top_k else {})

    results = client.post("/api/embeddings/similarity", json=body).json["results"]

    assert [result["index"] for result in results] == order
    assert [result["document"] for result in results] == [names[index] for index in order]
    scores = [0.6, 1, 0, -1]
    assert [result["similarity"] for result in results] == pytest.approx([scores[index] for index in order])
    assert upstream.sent[0].body["input"] == ["q", *names]


def test_documents_alike_keep_their_order(client, upstream):
    upstream.answers(embeddings([[1, 0]] * 4))

    results = client.post("/api/embeddings/similarity", json={"query": "q", "documents": ["x"] * 3}).json[
        "results"
    ]

    assert [result["index"] for result in results] == [0, 1, 2]


def test_a_call_leaves_one_record(make_app, upstream, records):
    upstream.answers(embeddings([[1]]))

    make_app().test_client().post("/api/embeddings", json={"input": "Hi"}, headers={"X-Request-ID": "r1"})

    [record] = records
    assert (record.request_id, record.operation, record.outcome) == ("r1", "embeddings", "complete")
    assert record.usage.raw == {"prompt_tokens": 5, "total_tokens": 5}
