"""Tokens that nobody has counted: bounded from above before, estimated after."""

from __future__ import annotations

import base64
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.models.token_counts import estimates
from app.models.token_counts.estimates import bound_input, estimate_text, estimate_usage, weigh_text
from tests.fakes.generated import generated


def chat(content, **more):
    return {"messages": [{"role": "user", "content": content}], **more}


def image(detail, data="A" * 100_000):
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}", "detail": detail}}


@pytest.mark.parametrize("text", ["", "hello " * 100, "日本語" * 50, "🙂" * 30, '"\\\n' * 40])
def test_no_token_is_shorter_than_a_byte(text):
    assert len(text.encode()) < bound_input(chat(text), "m") < 2 * len(text.encode()) + 200


def test_tools_and_schemas_count_too():
    tools = [{"type": "function", "function": {"name": "f", "description": "d" * 500}}]
    plain = bound_input(chat("hi"), "m")
    assert bound_input(chat("hi", tools=tools), "m") > plain + 500
    assert bound_input(chat("hi", response_format={"schema": "s" * 300}), "m") > plain + 300


@pytest.mark.parametrize(
    ("model", "detail", "tokens"),
    [
        ("gpt-6.1-terra", "low", 10_078),
        ("gpt-6.1-terra", "high", 10_078),
        ("gpt-6.1-terra", "auto", 36_001),
        ("gpt-4o-mini-2024-07-18", "high", 48_169),
        ("gpt-4o-mini", "low", 2_833),
    ],
)
def test_an_image_counts_by_its_detail_and_not_by_its_bytes(model, detail, tokens):
    bound = bound_input(chat([{"type": "text", "text": "hi"}, image(detail)]), model)
    assert tokens < bound < tokens + 300
    address = {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": detail}}
    assert tokens < bound_input(chat([{"type": "text", "text": "hi"}, address]), model) < tokens + 300


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_an_image_of_known_size_counts_by_it(kind):
    content = io.BytesIO()
    Image.effect_noise((640, 480), 90).save(content, kind)
    part = image("high", base64.b64encode(content.getvalue()).decode())
    assert content.tell() > 12_000

    bound = bound_input(chat([{"type": "text", "text": "hi"}, part, part]), "gpt-6.1-terra")

    # 20 times 15 patches, each as dear as the dearest.
    assert 2 * 739 < bound < 2 * 739 + 300
    assert 2 * 360 <= estimate_usage(chat([part, part])).prompt_tokens < 2 * 360 + 100


def test_embeddings_are_bounded_as_well():
    assert bound_input({"input": ["a" * 100, "b" * 50]}, "m") > 150


def test_an_estimate_is_near_for_english_and_high_elsewhere():
    assert estimate_text("The quick brown fox jumps over the lazy dog.") == 11
    assert estimate_text("東京") >= 2
    assert estimate_text("x y " * 100) == 200
    assert estimate_text("no JSON {}") == 3
    assert estimate_text("aGVsbG8gd29ybGQhIDEyMw==") >= 10
    assert estimate_text("") == 0


def test_pieces_of_a_text_weigh_little_more_than_the_text() -> None:
    pieces = [" word", " children", ",", " and", " 東京", "\n", " so"] * 100

    weight = sum(map(weigh_text, pieces))

    # Rounded up, each piece of five letters would count as two.
    assert estimate_text("".join(pieces)) <= weight < 1.25 * estimate_text("".join(pieces))
    assert sum(map(estimate_text, pieces)) > 1.4 * estimate_text("".join(pieces))


@generated(cases=100, quickly=25)
@given(st.text("abcXYZ019 \n.,_", max_size=40))
def test_the_quick_pattern_finds_what_the_plain_one_does(text: str) -> None:
    plain = re.compile(r"[A-Z]?[a-z]{1,8}|[A-Z]{1,4}|[0-9]{1,3}|\n+|[^\sA-Za-z0-9]{1,2}")

    assert estimates._ASCII_TOKEN.findall(text) == plain.findall(text)


def test_usage_that_nobody_reported():
    used = estimate_usage(chat("x" * 400), 20, unseen=5)
    assert used.completion_tokens == 25
    assert 100 <= used.prompt_tokens < 130
    assert estimate_usage(chat("x"), 40, unseen=40, ceiling=50).completion_tokens == 50
    seen = estimate_usage(chat([image("auto")]))
    assert 1_024 <= seen.prompt_tokens < 1_100
