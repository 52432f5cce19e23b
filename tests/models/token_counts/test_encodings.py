"""OpenAI's encodings, against its own encoder."""

from __future__ import annotations

import base64
import gzip
import hashlib
import random
import time
from mmap import mmap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models.token_counts import vocabulary
from app.models.token_counts.encodings import PATTERNS, WorkBudget, count_bytes, load_encoding
from app.models.token_counts.model_encodings import find_encoding_name
from app.models.token_counts.vocabulary import HASHES, TABLE_HASHES, load_vocabulary
from tests.fakes.encodings import count, read_file, real_encoding
from tests.fakes.generated import generated
from tests.fakes.servers import ROOT
from tests.fakes.tables import further

NAMES = pytest.mark.parametrize("name", list(PATTERNS))
PLENTY = 10_000_000
ENGLISH = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8")

words = st.sampled_from(
    [
        *ENGLISH.split(" ")[:400],
        "don't",
        "WE'LL",
        "I'Ve",
        "naïve",
        "你好",
        "世界",
        "Здравствуйте",
        "नमस्ते",
        "ไทย",
        "e\u0301",
    ]
)
signs = st.sampled_from(
    [
        "  ",
        "\n",
        " \n\n",
        "\r\n",
        "\t",
        "...",
        "?!",
        "//",
        "/\n",
        "';",
        "“”",
        "\u200b",
        "\u200d",
        "\u00a0",
        "\x1c",
        "🙂",
    ]
)
hostile = st.one_of(
    words,
    signs,
    st.text(max_size=8),
    st.text("abcXYZ019+/", min_size=4, max_size=60),  # as in Base64
    st.integers(0, 10**30).map(str),
    st.sampled_from(" -=ab\u0300\u4e00").flatmap(lambda char: st.integers(1, 300).map(lambda times: char * times)),
    st.integers(0x4E00, 0x9FFF).map(chr),
    st.integers(0x20000, 0x2A6DF).map(chr),  # of four bytes and four tokens each
)
texts = st.lists(st.tuples(hostile, st.sampled_from(["", " "])).map("".join), max_size=30).map("".join)


@pytest.mark.parametrize("name", ["cl100k_base", *further("o200k_base")])
def test_the_vocabulary_is_the_one_that_tiktoken_expects(name):
    assert hashlib.sha256(read_file(name)).hexdigest() == HASHES[name]
    assert real_encoding(name)._pat_str == PATTERNS[name]

    ranks = real_encoding(name)._mergeable_ranks
    built = load_vocabulary(name)
    assert all(built.find_rank(token) == rank for token, rank in ranks.items())
    assert built.find_rank(b" gatehouses") is None


def test_the_table_of_a_vocabulary_is_kept_and_mapped_by_later_processes(monkeypatch, tmp_path):
    folder = tmp_path / "state"
    first = load_vocabulary("cl100k_base", folder)
    monkeypatch.setattr(vocabulary, "build_table", None)

    later = load_vocabulary("cl100k_base", folder)

    assert type(first._table) is type(later._table) is mmap
    assert (
        later.find_rank(b" house")
        == first.find_rank(b" house")
        == real_encoding("cl100k_base").encode_single_token(" house")
    )
    assert [file.name for file in folder.iterdir()] == ["cl100k_base.table"]


@pytest.mark.parametrize("content", [b"half of it", *further(b"", bytes(3_142_010))])
def test_a_damaged_table_is_replaced(tmp_path, content):
    (tmp_path / "cl100k_base.table").write_bytes(content)

    assert load_vocabulary("cl100k_base", tmp_path).find_rank(b" house") is not None
    assert hashlib.sha256((tmp_path / "cl100k_base.table").read_bytes()).hexdigest() == TABLE_HASHES["cl100k_base"]


def test_where_no_table_can_be_kept_each_process_has_its_own(tmp_path):
    (tmp_path / "file").touch()

    found = load_vocabulary("cl100k_base", tmp_path / "file")

    assert type(found._table) is bytes
    assert found.find_rank(b" house") is not None


@NAMES
@generated(cases=200, quickly=12)
@given(texts)
def test_no_text_has_more_tokens_than_are_counted(name, text):
    real = count(name, text)

    assert real <= load_encoding(name).count(text, WorkBudget(PLENTY)) <= count_bytes(text)
    assert real <= load_encoding(name).count(text, WorkBudget(50)) <= count_bytes(text)


@NAMES
@generated(cases=200, quickly=12)
@given(st.lists(st.one_of(words, signs, st.text(max_size=20)), max_size=40).map(" ".join))
def test_a_count_is_exact(name, text):
    assert load_encoding(name).count(text, WorkBudget(PLENTY)) == count(name, text)


@NAMES
def test_a_long_text_is_counted_exactly_in_blocks(name):
    text = ENGLISH * 3

    assert len(text) > 3 * 16_000
    assert load_encoding(name).count(text, WorkBudget(PLENTY)) == count(name, text)


@NAMES
@pytest.mark.parametrize(
    "text", ["a" * 100_000, "你" * 50_000, " " * 100_000, "^" * 100_000 + " the end.", "\ud800"]
)
def test_a_stretch_without_any_stop_is_bounded_by_its_bytes(name, text):
    assert load_encoding(name).count(text, WorkBudget(PLENTY)) <= count_bytes(text)


@pytest.mark.parametrize("size", [300_000, *further(1_500_000)])
def test_a_text_that_nobody_has_written_takes_no_more_work_than_allowed(size):
    noise = base64.b64encode(random.Random(1).randbytes(size)).decode()
    encoding = load_encoding("o200k_base")

    started = time.process_time()
    tokens = encoding.count(
        " ".join(noise[at : at + 30] for at in range(0, len(noise), 30)), WorkBudget(size // 75)
    )

    assert time.process_time() - started < 2e-6 * size  # of 1.5 MB 0.4 s; without a bound, 6 s
    assert tokens > 0.9 * len(noise)


def test_what_is_remembered_is_bounded():
    encoding = load_encoding("o200k_base")
    for number in range(25_000):
        encoding.count(f"nobody{number} wrote{number} this", WorkBudget(100))

    assert len(encoding._pieces) < 11_000
    assert len(encoding._pairs) < 21_000
    assert len(encoding._texts) <= 4_000


@pytest.mark.parametrize("content", [b"", b"aGk= 0\n", b"<html>"])
def test_another_file_is_refused(monkeypatch, tmp_path, content):
    (tmp_path / "o200k_base.tiktoken.gz").write_bytes(gzip.compress(content))
    monkeypatch.setattr(vocabulary, "_find_data", lambda: tmp_path)

    with pytest.raises(ValueError, match="o200k_base is not the one that OpenAI published"):
        load_vocabulary("o200k_base")


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-6.1-terra", "o200k_base"),
        ("gpt-6-luna", "o200k_base"),
        ("gpt-5", "o200k_base"),
        ("gpt-5.4-mini-2026-03-05", "o200k_base"),
        ("gpt-4.1-nano", "o200k_base"),
        ("gpt-4o-mini", "o200k_base"),
        ("ft:gpt-4o:ours::1", "o200k_base"),
        ("gpt-oss-20b", "o200k_base"),
        ("openai/gpt-oss-120b", "o200k_base"),
        ("openai/gpt-4", "cl100k_base"),
        ("ours/gpt-4o", None),
        ("o3", "o200k_base"),
        ("o4-mini", "o200k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("gpt-35-turbo", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("gpt2", None),
        ("llama3", None),
        ("o", None),
        ("openai", None),
        ("my-gpt-5", None),
    ],
)
def test_a_models_name_tells_its_encoding(model, name):
    assert find_encoding_name(model) == name


def test_the_names_agree_with_tiktokens():
    from tiktoken import model as theirs

    def known(encoding):
        return encoding in {*PATTERNS, "o200k_harmony"}

    for name, encoding in theirs.MODEL_TO_ENCODING.items():
        if "-002" not in name or "ada" in name:  # davinci and babbage do not chat
            assert find_encoding_name(name) == (encoding if known(encoding) else None), name
    for prefix, encoding in theirs.MODEL_PREFIX_TO_ENCODING.items():
        if "davinci" in prefix or "babbage" in prefix:
            continue
        expected = encoding.replace("harmony", "base") if known(encoding) else None
        assert find_encoding_name(f"{prefix.rstrip('-')}-x") == expected, prefix
