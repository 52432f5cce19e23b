"""Sizes and tokens, beside what the upstream's own guide says of each model."""

from __future__ import annotations

import math
import random

import pytest

from app.media.images import find_bounds, max_image_tokens, typical_image_tokens
from app.media.images.sizing import ImageBounds, count_patches
from tests.fakes.generated import IS_THOROUGH
from tests.fakes.tables import each_row

PHOTO = (4_032, 3_024)


@pytest.mark.parametrize(
    ("model", "detail", "size", "expected"),
    [
        ("gpt-6.1-terra", "low", PHOTO, (512, 384)),
        ("gpt-6.1-terra", "low", (512, 512), (512, 512)),
        ("gpt-6.1-terra", "high", (1_600, 1_600), (1_600, 1_600)),
        ("gpt-6.1-terra", "high", (2_048, 2_048), (1_600, 1_600)),
        ("gpt-6.1-terra", "high", (10_000, 100), (10_000, 100)),
        ("gpt-6.1-terra", "auto", PHOTO, PHOTO),
        ("gpt-5.6-luna", "auto", (8_064, 6_048), (6_400, 4_800)),
        ("gpt-6-astra", "auto", (7_952, 5_304), (6_764, 4_512)),
        ("gpt-5.5", "auto", (7_000, 700), (6_000, 600)),
        ("gpt-5.5-2026-04-23", "auto", (4_096, 4_096), (3_200, 3_200)),
        ("gpt-5.4", "auto", (2_048, 2_048), (1_600, 1_600)),
        ("gpt-5.4", "high", (10_000, 100), (2_048, 20)),
        ("gpt-5.4-mini", "low", (4_096, 2_048), (2_048, 1_024)),
        ("gpt-5.2", "low", (4_096, 4_096), (2_048, 2_048)),
        ("gpt-4.1-mini-2025-04-14", "high", (4_096, 2_048), (2_048, 1_024)),
        ("gpt-4o", "high", (2_048, 4_096), (768, 1_536)),
        ("gpt-4o", "auto", (1_024, 1_024), (768, 768)),
        ("GPT-4o-mini-2024-07-18", "auto", (4_096, 512), (2_048, 256)),
        ("gpt-4.1", "low", (4_096, 8_192), (256, 512)),
        ("gpt-5.1", "high", (800, 600), (800, 600)),
        # Nothing is known of these, so they keep what any model uses.
        ("my-deployment", "low", PHOTO, (2_048, 1_536)),
        ("gpt-5.1-codex-mini", "high", (2_048, 2_048), (2_048, 2_048)),
        ("gpt-60", "high", (2_048, 2_048), (2_048, 2_048)),
        ("llava", "auto", PHOTO, PHOTO),
        ("", "auto", (1, 1), (1, 1)),
    ],
)
def test_each_model_gets_what_it_uses(model, detail, size, expected):
    assert find_bounds(model, detail).fit(*size) == expected
    assert find_bounds(model, detail).fit(*size[::-1]) == expected[::-1]


def test_a_limit_is_kept_and_nothing_is_enlarged():
    chance = random.Random(1)
    for _ in range(2_000):
        limit = ImageBounds(chance.randint(1, 65_535), chance.randint(1, 3_000), chance.randint(2_048, 30_000))
        size = tuple(int(10 ** chance.uniform(0, 4.8)) for _ in range(2))
        width, height = limit.fit(*size)

        short, long = sorted((width, height))
        assert 1 <= width <= size[0] and 1 <= height <= size[1]
        assert long <= limit.side and short <= limit.short_side
        assert count_patches(width, height) <= limit.patches
        assert limit.fit(width, height) == (width, height)
        # No side is lost: the shape stays as near as whole pixels can be.
        assert short == 1 or abs(short / long - min(size) / max(size)) < 2 / long


def counted(model, detail, width, height):
    """What the guide says a model counts, step by step as it is written there."""
    base, each = {
        "gpt-4o": (85, 170),
        "gpt-4.1": (85, 170),
        "gpt-4o-mini": (2_833, 5_667),
        "gpt-5.1": (70, 140),
    }.get(model, (0, 0))
    if base:
        scale = min(1, 2_048 / max(width, height))
        width, height = width * scale, height * scale
        scale = min(1, 768 / min(width, height))
        tiles = math.ceil(width * scale / 512) * math.ceil(height * scale / 512)
        return base if detail == "low" else base + each * tiles
    side, budget = (
        {
            "gpt-6-astra": {"low": (512, 10**6), "high": (65_535, 2_500), "auto": (65_535, 30_000)},
            "gpt-5.6-terra": {"low": (512, 10**6), "high": (2_048, 2_500), "auto": (65_535, 30_000)},
            "gpt-5.5": {"low": (512, 10**6), "high": (2_048, 2_500), "auto": (6_000, 10_000)},
            "gpt-5.4": {"low": (2_048, 6_144), "high": (2_048, 2_500), "auto": (2_048, 2_500)},
        }.get(model, {})[detail]
        if model.startswith(("gpt-6", "gpt-5.4", "gpt-5.5", "gpt-5.6"))
        else (2_048, 6_144)
    )
    scale = min(1, side / max(width, height))
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    if count_patches(width, height) > budget:
        scale = math.sqrt(32**2 * budget / (width * height))
        across, down = width * scale / 32, height * scale / 32
        scale *= min(math.floor(across) / across, math.floor(down) / down)
        width, height = max(1, math.floor(width * scale)), max(1, math.floor(height * scale))
    multiplier = {"gpt-4.1-mini": 1.62, "gpt-4.1-nano": 2.46, "o4-mini": 1.72, "gpt-5-nano": 1.5}.get(model, 1.2)
    return math.ceil(count_patches(width, height) * multiplier)


MODELS = [
    *("gpt-6-astra", "gpt-5.6-terra", "gpt-5.5", "gpt-5.4", "gpt-5.2", "gpt-5-mini", "gpt-5-nano", "o4-mini"),
    *("gpt-4.1-mini", "gpt-4.1-nano", "gpt-5.1", "gpt-4.1", "gpt-4o", "gpt-4o-mini"),
]


UNKNOWN = {"gpt-5-mini", "gpt-5-nano", "o4-mini", "gpt-4.1-nano"}


def each_of(model):
    """What a row of pixels more can come to: of tiles two, of patches 70."""
    return {"gpt-4o-mini": 11_334}.get(model, 340)


def test_the_guides_own_examples_come_out_as_it_says():
    assert counted("gpt-5.4", "high", 1_024, 1_024) == 1_229
    assert counted("gpt-5.4", "high", 2_048, 2_048) == 3_000
    assert counted("gpt-4o", "high", 1_024, 1_024) == 765
    assert counted("gpt-4o", "high", 2_048, 4_096) == 1_105


@pytest.mark.generated
@each_row("model", MODELS)
@each_row("detail", ["low", "high", "auto"])
def test_no_model_counts_more_than_the_bound(model, detail):
    chance = random.Random(f"{model} {detail}")
    for _ in range(300 if IS_THOROUGH else 60):
        size = tuple(int(10 ** chance.uniform(0, 4)) for _ in range(2))
        if count_patches(*size) > 30_000:
            continue
        sent = find_bounds(model, detail).fit(*size)

        tokens = counted(model, detail, *size)

        assert tokens <= max_image_tokens(sent, detail, model) <= max_image_tokens(None, detail, model)
        assert tokens <= max_image_tokens(size, detail, model)
        # Scaled here or there, it comes to the same, but for a pixel that is rounded.
        if model not in UNKNOWN and min(sent) >= 32:
            assert counted(model, detail, *sent) == pytest.approx(tokens, rel=0.05, abs=each_of(model))


@pytest.mark.parametrize(
    ("size", "detail", "model", "most"),
    [
        ((1, 1), "auto", "gpt-6.1-terra", 255),
        ((512, 384), "low", "gpt-6.1-terra", 474),
        ((1_024, 1_024), "high", "gpt-6.1-terra", 2_521),
        (PHOTO, "auto", "gpt-6.1-terra", 14_365),
        (None, "auto", "gpt-6.1-terra", 36_001),
        (None, "high", "gpt-6.1-terra", 10_078),
        (None, "low", "gpt-6.1-terra", 10_078),
        ((512, 512), "high", "gpt-4o-mini", 8_500),
        (None, "low", "gpt-4o-mini-2024-07-18", 2_833),
        (None, "high", "gpt-4o-mini", 48_169),
    ],
)
def test_bounds(size, detail, model, most):
    assert max_image_tokens(size, detail, model) == most


def test_estimates():
    assert typical_image_tokens(None, "auto") == 1_024
    assert typical_image_tokens((1_024, 1_024), "high") == 1_229
    assert typical_image_tokens(PHOTO, "high") == 3_000
    assert typical_image_tokens(PHOTO, "low") == 308
    assert typical_image_tokens(PHOTO, "auto") == 14_364
