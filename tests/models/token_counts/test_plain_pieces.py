"""Estimates by the shape of a piece, beside those of its text."""

from __future__ import annotations

import random
import string

import pytest

from app.models.token_counts.estimates import weigh_text
from app.models.token_counts.plain_pieces import SHAPES, PlainPieces

_PLAIN = "".join(chr(code) for code in range(32, 127) if chr(code) not in '"\\')


def test_plain_pieces_weigh_as_much_as_their_texts() -> None:
    pieces, choice = PlainPieces(), random.Random(7)
    for kind in (_PLAIN, string.ascii_letters + " ", "aA", "ab 12.", "A"):
        for _ in range(1_000):
            text = "".join(choice.choices(kind, k=choice.randrange(1, 80)))

            assert pieces[text.encode().translate(SHAPES)] == max(weigh_text(text), 1), text


@pytest.mark.parametrize("raw", [b"", b'"', b"a\\nb", b"a\tb", b"a\x7f", "\u00e9".encode(), b"\xff"])
def test_pieces_that_are_not_plain_have_no_estimate(raw: bytes) -> None:
    assert PlainPieces()[raw.translate(SHAPES)] == 0


def test_few_and_short_shapes_are_kept() -> None:
    pieces = PlainPieces()
    for number in range(5_000):
        assert pieces[f"{number:b}".replace("0", " ").replace("1", "a").encode()]
        assert pieces[b"a" * (100 + number % 7)]

    assert len(pieces) <= 1_024
    assert max(map(len, pieces)) <= 64
