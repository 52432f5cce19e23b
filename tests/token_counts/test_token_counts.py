from __future__ import annotations

import logging
import re

import pytest
import tiktoken.load
from hypothesis import given, settings
from hypothesis import strategies as st

from app.token_counts import TokenCounts, counting, find_input_window
from app.token_counts.counting import count_bytes, count_exactly
from tests.fakes import encodings

ENCODING = encodings.encoding()

thoroughly = settings(max_examples=150, derandomize=True, database=None, deadline=None)
texts = st.lists(
    st.sampled_from(
        [
            *encodings.WORDS,
            *encodings.UNITS,
            " ",
            "\n",
            " \n",
            ". ",
            ",",
            "?!",
            "'s ",
            "é",
            "e\u0301",
            "12345",
            "_",
        ]
    )
    | st.text(max_size=3)
).map("".join)


@pytest.fixture(autouse=True)
def _nothing_is_downloaded(monkeypatch):
    def refuse(url):
        raise AssertionError(f"{url} was asked for")

    monkeypatch.setattr(tiktoken.load, "read_file", refuse)


def in_pieces_of(chars, monkeypatch):
    monkeypatch.setattr(counting, "_PIECE_CHARS", chars)
    monkeypatch.setattr(counting, "_PIECE", re.compile(rf".{{1,{chars}}}(?:{counting._CUT}|\Z)", re.DOTALL))


@thoroughly
@given(texts)
def test_a_text_in_pieces_has_the_tokens_of_the_whole(text):
    whole = len(ENCODING.encode_ordinary(text))

    with pytest.MonkeyPatch.context() as monkeypatch:
        in_pieces_of(24, monkeypatch)
        stretches = re.split(counting._CUT, text)
        counted = count_exactly(ENCODING, text)

    if max(map(len, stretches)) <= 24:
        assert counted == whole
    assert whole <= counted <= count_bytes(text)


@pytest.mark.parametrize("text", ["a" * 100_000, "你" * 50_000, " " * 100_000, "^" * 100_000 + " the end."])
def test_a_stretch_without_any_stop_is_bounded_by_its_bytes(text):
    assert len(ENCODING.encode_ordinary(text)) <= count_exactly(ENCODING, text) <= count_bytes(text)


def test_counts_are_exact_where_the_data_is_at_hand(tmp_path, monkeypatch):
    encodings.publish(monkeypatch)
    encodings.put(tmp_path)
    counts = TokenCounts(tmp_path, ["gpt-5-mini"])
    text = "the conversation goes on"

    assert counts.counter(["gpt-5-mini"])(text) == len(text)  # not yet loaded
    counts.load()

    assert counts.counter(["gpt-5-mini", "gpt-4o"])(text) == 4
    # NullContext knows the encoding of the one, and that of the other is not at hand.
    assert counts.counter(["gpt-5-mini", "gpt-6.1-terra"])(text) == len(text)
    assert counts.counter(["gpt-5-mini", "gpt-4"])(text) == len(text)


@pytest.mark.parametrize("content", [encodings.CONTENT[:-20], b"", b"<html>"])
def test_a_damaged_file_is_not_counted_by(tmp_path, monkeypatch, content):
    encodings.publish(monkeypatch)
    encodings.put(tmp_path, content)
    warnings = []
    monkeypatch.setattr(counting.log, "warning", lambda name, extra: warnings.append((name, extra["encoding"])))
    counts = TokenCounts(tmp_path, ["gpt-5"])

    counts.load()

    assert counts.counter(["gpt-5"])("the") == 3
    assert warnings == [("encoding.unusable", "o200k_base")]


@pytest.mark.parametrize("model", ["gpt-5", "gpt-4", "gpt-oss-20b", "gpt2", "gpt-6.1-terra", "davinci-002"])
def test_without_data_no_model_is_asked_the_network_for(tmp_path, caplog, model):
    tmp_path.joinpath("empty").mkdir()
    with caplog.at_level(logging.WARNING):
        for directory in (tmp_path / "empty", tmp_path / "missing"):
            counts = TokenCounts(directory, [model])
            counts.load()
            assert counts.counter([model])("wörd") == 5
    assert not caplog.records


@pytest.mark.parametrize(
    ("model", "ceiling", "expected"),
    [
        ("gpt-4", 1_000, 7_192),
        ("gpt-4", 100_000, 4_096),
        ("gpt-4o", 8_192, 119_808),
        ("gpt-5", 8_192, 272_000),
        ("gpt-6.1-terra", 8_192, 922_000),
        ("GPT-4", 1_000, 7_192),
        ("llama3", 8_192, None),
    ],
)
def test_the_window_is_shared_with_the_answer(model, ceiling, expected):
    assert find_input_window(model, ceiling) == expected
