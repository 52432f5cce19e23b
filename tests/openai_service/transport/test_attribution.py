"""What is said to the upstream about a conversation: whose it is, whose cache it uses, and that it is not stored."""

from __future__ import annotations

import json
import re

import pytest

from app.models.token_counts.estimates import bound_input, estimate_input
from app.safety.pseudonyms import Pseudonyms
from tests.conftest import KEY
from tests.fakes.site import SECRET_KEY, bearer
from tests.fakes.tables import crossed
from tests.fakes.upstreams.openai_answers import completion, stream_of
from tests.fakes.wire.bodies import SMALLEST, conversation_of

ABOUT = {"safety_identifier", "prompt_cache_key", "store"}
PLAIN = ["/api/chat", "/api/vision", "/api/structured"]
STREAMED = ["/api/chat/stream", "/api/vision/stream", "/api/structured/stream", "/api/chat/openai"]
CACHED = {
    "prompt_tokens": 2_000,
    "completion_tokens": 3,
    "total_tokens": 2_003,
    "prompt_tokens_details": {"cached_tokens": 1_024, "cache_write_tokens": 900, "audio_tokens": 0},
}


def post(client, path="/api/chat", credential=None, address="203.0.113.7", **body):
    headers = bearer(credential) if credential else {}
    answer = client.post(
        path, json={**SMALLEST[path], **body}, headers=headers, environ_base={"REMOTE_ADDR": address}
    )
    assert answer.status_code == 200, answer.text
    assert answer.data
    return answer


def about(upstream, number=-1):
    return {name: value for name, value in upstream.sent[number].body.items() if name in ABOUT}


def queue(upstream, path):
    if path in STREAMED:
        upstream.streams(*stream_of("{}"))
    else:
        upstream.answers(completion("{}"))


@pytest.mark.parametrize("path", PLAIN + STREAMED)
def test_every_conversation_says_whose_it_is_and_that_it_is_not_stored(make_site, upstream, path):
    site = make_site()
    token = site.token(userId="anna", scopes=["chat", "vision", "structured"])
    queue(upstream, path)

    post(site.client, path, token)

    said = about(upstream)
    assert said["store"] is False
    assert said["safety_identifier"] == Pseudonyms(SECRET_KEY).identify("acme", "anna")
    assert re.fullmatch("[0-9a-f]{64}", said["safety_identifier"])
    assert re.fullmatch("[0-9a-f]{32,64}", said["prompt_cache_key"])
    assert not said["prompt_cache_key"].startswith(said["safety_identifier"][:8])
    assert not {"anna", "acme"} & set(re.findall(r"\w+", json.dumps(upstream.sent[-1].body)))


@pytest.mark.chat_form
def test_embeddings_and_moderation_are_not_told(make_app, upstream):
    client = make_app(moderation="input").test_client()
    upstream.answers({"results": [{"flagged": False, "categories": {}}]})
    post(client)
    embeddings = {"object": "list", "model": "e", "data": [{"index": 0, "embedding": [1.0]}], "usage": {}}
    upstream.answers(embeddings)
    post(client, "/api/embeddings")

    assert [sent.path for sent in upstream.sent] == ["/v1/moderations", "/v1/chat/completions", "/v1/embeddings"]
    assert [bool(about(upstream, number)) for number in range(3)] == [False, True, False]


def test_one_user_is_one_person_everywhere_and_others_are_others(make_site, upstream):
    def identifier(site, credential, **headers):
        site.client.post("/api/chat", json={"message": "Hi"}, headers=bearer(credential) | headers)
        return upstream.sent[-1].body["safety_identifier"]

    site = make_site()
    anna = identifier(site, site.token(userId="anna"))

    assert identifier(site, site.token(userId="anna")) == anna  # another token
    assert identifier(site, site.key, **{"X-User-Id": "anna"}) == anna  # named by the site's server
    assert identifier(make_site(), make_site().token(userId="anna")) == anna  # another process
    others = [
        identifier(site, site.token(userId="ann")),
        identifier(site, site.token(site.new_key(tenant="other"), userId="anna")),
        identifier(site, site.key),
        identifier(make_site(secret_key="t" * 40), make_site(secret_key="t" * 40).token(userId="anna")),
    ]
    assert len({anna, *others}) == 5


def test_a_name_cannot_be_split_to_make_another_tenants_user():
    made = Pseudonyms("s" * 40)

    assert made.identify("a", "b/c") != made.identify("a/b", "c")
    assert made.identify('a","b', "c") != made.identify("a", 'b","c')


def test_of_an_anonymous_caller_the_address_is_hashed(make_app, upstream):
    client = make_app(secret_key=SECRET_KEY).test_client()
    for address in ("203.0.113.7", "203.0.113.7", "203.0.113.8", "2001:db8::1", "2001:db8::2"):
        post(client, address=address)

    first, again, other, *network = [sent.body["safety_identifier"] for sent in upstream.sent]
    assert first == again != other
    assert network[0] == network[1]  # of one /64, which is one client
    assert first == Pseudonyms(SECRET_KEY).identify("default", "address:203.0.113.7")


def test_without_a_secret_key_the_upstreams_key_takes_its_place(make_app, upstream):
    post(make_app().test_client())

    assert about(upstream)["safety_identifier"] == Pseudonyms(KEY).identify("default", "address:203.0.113.7")


UPSTREAMS = {
    "openai": ({}, ABOUT),
    "openai in Europe": ({"openai_base_url": "https://eu.api.openai.com/v1"}, ABOUT),
    "azure": ({"azure_openai_endpoint": "https://example.openai.azure.com"}, ABOUT),
    "another": ({"openai_base_url": "https://llm.example.com/v1"}, set()),
    "another with the name of OpenAI": ({"openai_base_url": "https://api.openai.com.example.com/v1"}, set()),
    "another that always gets them": (
        {"openai_base_url": "https://llm.example.com/v1", "upstream_identifiers": "always"},
        ABOUT,
    ),
    "openai without": ({"upstream_identifiers": "never"}, {"store"}),
}


@pytest.mark.parametrize(("path", "settings", "said"), crossed(["/api/chat", "/api/chat/stream"], UPSTREAMS))
@pytest.mark.chat_form
def test_only_an_upstream_that_knows_the_fields_gets_them(make_app, upstream, settings, said, path):
    queue(upstream, path)

    post(make_app(**settings).test_client(), path)

    assert set(about(upstream)) == said


def test_a_site_can_have_its_conversations_stored(make_app, upstream):
    post(make_app(store_at_openai=True).test_client())

    assert about(upstream)["store"] is True


def test_a_field_that_the_upstream_does_not_know_is_left_out_and_not_reported(make_app, upstream):
    client = make_app(azure_openai_endpoint="https://example.openai.azure.com").test_client()
    for name in ("safety_identifier", "prompt_cache_key", "store"):
        error = {"message": f"Unrecognized request argument supplied: {name}", "type": "invalid_request_error"}
        upstream.answers({"error": {**error, "param": None, "code": None}}, status=400)

    first, second = post(client), post(client)

    assert (first.headers["X-Attempts"], second.headers["X-Attempts"]) == ("4", "1")
    assert not about(upstream)
    assert "X-Params-Adjusted" not in first.headers


def test_it_stays_the_same_through_the_rounds_of_server_tools(make_app, data_root, upstream):
    client = make_app(allowed_tools=("current_time",), secret_key=SECRET_KEY).test_client()
    call = {"id": "call_1", "type": "function", "function": {"name": "current_time", "arguments": "{}"}}
    upstream.answers(completion(None, finish_reason="tool_calls", tool_calls=[call]))

    post(client, serverTools=["current_time"])

    assert len(upstream.sent) == 2
    assert about(upstream, 0) == about(upstream, 1)
    assert set(about(upstream, 0)) == ABOUT


def test_the_cache_is_parted_by_user_and_prompt_and_by_nothing_else(make_site, data_root, upstream):
    prompts = data_root / "versions"
    prompts.mkdir(exist_ok=True)
    for name, text in (("one", "You help {{who}}."), ("two", "You help {{who}}.")):
        (prompts / f"{name}.toml").write_text(f'system = "{text}"\n[variables.who]\ntype = "string"\n')

    def key(site, user="anna", **body):
        post(site.client, credential=site.token(userId=user), **body)
        return upstream.sent[-1].body["prompt_cache_key"]

    site = make_site(prompts_dir="versions", system_prompt="Be brief.")
    one = key(site, promptName="one", variables={"who": "Ada"})

    assert key(site, promptName="one", variables={"who": "Bob"}, message="Bye") == one
    plain = key(site)
    others = [
        plain,
        key(site, user="bob", promptName="one", variables={"who": "Ada"}),
        key(site, promptName="two", variables={"who": "Ada"}),
        key(make_site(prompts_dir="versions", system_prompt="Be long.")),
    ]
    (prompts / "one.toml").write_text('system = "You serve {{who}}."\n[variables.who]\ntype = "string"\n')
    others.append(key(make_site(prompts_dir="versions"), promptName="one", variables={"who": "Ada"}))
    assert len({one, *others}) == 6
    assert key(site) == plain


WHOSE = [
    ("visitor", {}, True),
    ("visitor", {"upstream_identifiers": "never"}, False),
    ("visitor", {"openai_base_url": "https://llm.example.com/v1"}, False),
    ("key", {"openai_base_url": "https://llm.example.com/v1"}, True),
]


@pytest.mark.parametrize(
    ("path", "who", "settings", "is_shown"), crossed(["/api/chat", "/api/chat/stream", "/api/structured"], WHOSE)
)
def test_cached_tokens_are_shown_only_of_a_cache_that_is_the_callers_own(
    make_site, upstream, records, *, path, who, settings, is_shown
):
    site = make_site(**settings)
    if path in STREAMED:
        upstream.streams(*stream_of("{}", usage=CACHED))
    else:
        upstream.answers(completion("{}", usage=CACHED))

    answer = post(site.client, path, site.token(scopes=["chat", "structured"]) if who == "visitor" else site.key)

    assert (b"1024" in answer.data, b"900" in answer.data) == (is_shown, is_shown)
    assert b"2003" in answer.data
    assert records[-1].usage.cached_tokens == 1_024  # the ledger has it in any case


def test_an_upstream_that_does_not_know_the_cache_key_shares_its_cache(make_site, upstream):
    site = make_site()
    upstream.answers({"error": {"message": "Unknown parameter: 'prompt_cache_key'"}}, status=400)
    upstream.answers(completion(usage=CACHED))

    assert b"1024" not in post(site.client, credential=site.token()).data


def test_a_cached_answer_is_still_every_users(make_site, upstream):
    site = make_site()

    post(site.client, credential=site.token(userId="anna"), temperature=0, cache=True)
    again = post(site.client, credential=site.token(userId="bob"), temperature=0, cache=True)

    assert again.json["cached"] is True
    assert len(upstream.sent) == 1


def test_they_are_no_input_that_is_held_or_billed(client, upstream):
    post(client)

    whole = upstream.sent[-1].body
    bare = conversation_of(whole)
    assert whole != bare
    assert bound_input(whole, "gpt-6.1-terra") == bound_input(bare, "gpt-6.1-terra")
    assert estimate_input(whole) == estimate_input(bare)
