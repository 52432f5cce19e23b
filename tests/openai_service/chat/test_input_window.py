from __future__ import annotations

import pytest

from app.config import Config
from app.models.token_counts import TokenCounts
from app.openai_service import InputWindow
from app.openai_service.errors import InputTooLong
from app.openai_service.transport.request import UpstreamRequest


def test_an_image_counts_for_the_model_that_takes_most_tokens_for_it():
    image = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
    body = {"messages": [{"role": "user", "content": [image]}], "max_completion_tokens": 10}
    request = UpstreamRequest("/chat/completions", body)
    limits = InputWindow(Config(max_input_tokens=40_000).models, TokenCounts())

    assert limits.trim(request, ["gpt-6.1-terra"]) == 0
    with pytest.raises(InputTooLong):
        limits.trim(request, ["gpt-6.1-terra", "gpt-4o-mini"])
