import base64
import math
import struct
import time

import pytest

from tests.fakes.tables import each_row


@pytest.fixture
def embed(offline):
    def embed(texts, **settings):
        return [item.embedding for item in offline.embeddings.create(model="m", input=texts, **settings).data]

    return embed


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(
    ("text", "alike", "unlike"),
    [
        ("The cat sat on the mat", "A cat is sitting on the mat", "Quarterly revenue rose by nine percent"),
        ("How do I reset my password?", "I forgot my password", "How do I bake bread?"),
        ("Le chat est sur le tapis", "Un chat dort sur le tapis", "Je mange une pomme rouge"),
    ],
)
def test_texts_alike_are_nearer_than_others(embed, text, alike, unlike):
    vectors = embed([text, alike, unlike])
    assert cosine(vectors[0], vectors[1]) > cosine(vectors[0], vectors[2]) + 0.3


TEXTS = ["word", " ", "!?", "日本語", "👩‍👩‍👧", "x" * 100_000]
DIMENSIONS = [1, 2, 256, 3072]


def assert_length_one(embed, text, dimensions):
    (vector,) = embed(text, dimensions=dimensions)
    assert len(vector) == dimensions
    assert math.isclose(cosine(vector, vector), 1, rel_tol=1e-5)


@each_row(("text", "dimensions"), [*((text, 256) for text in TEXTS), *(("word", number) for number in DIMENSIONS)])
def test_vector_has_length_one_in_any_dimensions(embed, text, dimensions):
    assert_length_one(embed, text, dimensions)


@pytest.mark.thorough
@each_row("text", TEXTS)
@each_row("dimensions", DIMENSIONS)
def test_vector_of_any_text_has_length_one_in_any_dimensions(embed, text, dimensions):
    assert_length_one(embed, text, dimensions)


def test_vectors_come_in_order_with_1536_dimensions_and_the_same_each_time(offline, embed):
    both = offline.embeddings.create(model="m", input=["one gate", "two houses"])
    assert [item.index for item in both.data] == [0, 1]
    assert {len(item.embedding) for item in both.data} == {1536}
    assert [item.embedding for item in both.data] == [*embed("one gate"), *embed("two houses")]
    assert both.model == "offline"
    assert both.usage.prompt_tokens == both.usage.total_tokens == 5


def test_base64_holds_the_same_little_endian_floats(http):
    def answer(**settings):
        response = http.post("/v1/embeddings", json={"model": "m", "input": "gate", "dimensions": 8} | settings)
        return response.json()["data"][0]["embedding"]

    encoded = base64.b64decode(answer(encoding_format="base64"))
    assert list(struct.unpack("<8f", encoded)) == answer() == answer(encoding_format="float")


def test_many_texts_take_little_time(embed):
    started = time.process_time()
    assert len(embed([f"A short text about thing number {number}" for number in range(256)])) == 256
    assert time.process_time() - started < 2  # about 0.1 s; the rest is for a busy machine


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": 5}, "model"),
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": {"text": "a"}}, "input"),
        ({"input": [1, 2.5]}, "input"),
        ({"input": [[1, 2], ["a"]]}, "input"),
        ({"input": [[1, 2], []]}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": 3073}, "dimensions"),
        ({"dimensions": 1.5}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
    ],
)
def test_bad_embedding_field_is_named(http, change, param):
    response = http.post("/v1/embeddings", json={"model": "m", "input": "gate"} | change)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_tokens_are_taken_for_texts(embed):
    one, other = embed([[1, 2], [3]])

    assert embed([1, 2]) == [one]
    assert one != other
