from __future__ import annotations

import pytest

from app.config import Config
from app.openai_service import InputLimits
from app.openai_service.errors import InputTooLong
from app.token_counts import TokenCounts


def test_an_image_counts_for_the_model_that_takes_most_tokens_for_it(tmp_path):
    image = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
    body = {"messages": [{"role": "user", "content": [image]}], "max_completion_tokens": 10}
    tokens = {"frugal": 50, "greedy": 5_000}
    limits = InputLimits(
        Config(max_input_tokens=1_000), TokenCounts(tmp_path, []), lambda body, model: tokens[model]
    )

    assert limits.fit(body, ["frugal"]) == 0
    with pytest.raises(InputTooLong):
        limits.fit(body, ["frugal", "greedy"])
