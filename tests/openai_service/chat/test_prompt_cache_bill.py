"""What conversations cost at an upstream that bills its prompt cache as OpenAI documents it, through the real app."""

from __future__ import annotations

import httpx2
import pytest

from tests.fakes.upstreams.openai_answers import completion
from tests.fakes.upstreams.prefix_billing import MODEL, PrefixCache, converse, say

SITE_TEXT = say(0, 1_500)


@pytest.fixture
def cache(upstream):
    """The upstream's cache, by which it bills every request."""
    cache = PrefixCache()

    def answer(sent):
        used = cache.bill(sent.body["messages"], sent.body.get("prompt_cache_options"))
        usage = {
            "prompt_tokens": used.prompt_tokens,
            "completion_tokens": 0,
            "total_tokens": used.prompt_tokens,
            "prompt_tokens_details": {
                "cached_tokens": used.cached_tokens,
                "cache_write_tokens": used.cache_write_tokens,
            },
        }
        return httpx2.Response(200, json=completion("") | {"model": MODEL, "usage": usage})

    upstream.otherwise = answer
    return cache


def post(client, **body):
    answer = client.post("/api/chat", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json["usage"]["prompt_tokens_details"]


def test_a_long_conversation_is_read_from_the_cache_and_the_report_shows_it(make_site, cache):
    site = make_site(max_input_tokens=6_000)
    token = site.token(userId="anna", scopes=["chat", "usage"])
    headers = {"Authorization": f"Bearer {token}"}

    for messages in converse(60, 300):
        assert site.client.post("/api/chat", json={"messages": messages}, headers=headers).status_code == 200

    totals = site.client.get("/api/usage", headers=headers).json["totals"]
    assert totals["cachedTokens"] > 0.6 * totals["promptTokens"]
    assert totals["costMicroUsd"] == cache.micro_usd
    assert totals["cacheSavedMicroUsd"] == pytest.approx(totals["promptTokens"] - totals["costMicroUsd"], abs=70)
    assert totals["costMicroUsd"] < 0.5 * totals["promptTokens"]  # the price without a cache is 1 USD a million


def test_a_new_conversation_reads_the_sites_prompt(make_app, cache):
    client = make_app(system_prompt=SITE_TEXT).test_client()

    first = post(client, messages=[{"role": "user", "content": say(1, 100)}])
    other = post(client, messages=[{"role": "user", "content": say(2, 100)}])

    assert first["cached_tokens"] == 0
    assert other["cached_tokens"] > 1_400
    assert other["cache_write_tokens"] < 150


def test_a_single_request_pays_for_no_write_but_the_sites_prompt(make_app, cache):
    with_prompt, without = make_app(system_prompt=SITE_TEXT).test_client(), make_app().test_client()

    assert post(without, message=say(1, 2_000)) == {"cached_tokens": 0, "cache_write_tokens": 0}
    assert 1_400 < post(with_prompt, message=say(2, 2_000))["cache_write_tokens"] < 1_600
    again = post(with_prompt, message=say(3, 2_000))
    assert again["cached_tokens"] > 1_400
    assert again["cache_write_tokens"] == 0
