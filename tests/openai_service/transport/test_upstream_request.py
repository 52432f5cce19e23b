"""A request's JSON and its bounds, which are made once."""

from __future__ import annotations

import orjson
import pytest

from app.models.token_counts.estimates import bound_input
from app.openai_service.transport.request import UpstreamRequest

IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png", "detail": "low"}}
BODY = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Ünë"}, IMAGE]}], "max_tokens": 7}


@pytest.mark.parametrize("model", ["m", "gpt-4o-mini", 'an "odd" näme'])
def test_its_bound_is_that_of_its_body_without_the_model(model):
    request = UpstreamRequest("/chat/completions", BODY)

    assert request.input_bound(model) == bound_input(BODY, model)
    assert request.input_bound("gpt-4o") == bound_input(BODY, "gpt-4o")
    assert request.max_output_tokens == 7


def test_its_json_is_made_once_for_a_model():
    request = UpstreamRequest("/chat/completions", BODY)
    request.input_bound("m")

    content = request.encode("m")

    assert request.encode("m") is content
    assert orjson.loads(content) == {"model": "m", **BODY}
    assert orjson.loads(request.encode("other"))["model"] == "other"


def test_a_new_body_has_a_json_and_bounds_of_its_own():
    request = UpstreamRequest("/chat/completions", BODY)
    before = request.input_bound("m")
    assert [image.url for image in request.media] == ["https://example.com/cat.png"]

    request.replace_body({"messages": [{"role": "user", "content": "Hi"}]})

    assert orjson.loads(request.encode("m")) == {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    assert request.input_bound("m") == bound_input(request.body, "m") < before
    assert list(request.media) == []
