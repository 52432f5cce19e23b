"""What the upstream is told to write to its prompt cache."""

from __future__ import annotations

import orjson
import pytest

from app.models.families import find_refusal
from tests.fakes.upstreams.openai_answers import completion, error, stream_of

SITE_TEXT = "You answer questions about the town and its gatehouse. " * 80
LONG = "What does the inscription above the gate say? " * 120
BREAKPOINT = {"prompt_cache_breakpoint": {"mode": "explicit"}}
MARKED = {"role": "system", "content": [{"type": "text", "text": SITE_TEXT, **BREAKPOINT}]}
PLAIN = {"role": "system", "content": SITE_TEXT}
EXPLICIT = {"mode": "explicit"}
TALK = [
    {"role": "user", "content": LONG},
    {"role": "assistant", "content": "Much"},
    {"role": "user", "content": "So?"},
]


def post(client, path="/api/chat", status=200, **body):
    answer = client.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer


def marks(upstream, number=-1):
    """The options, and whether there is a breakpoint in the request; OpenAI has to take it."""
    body = upstream.sent[number].body
    assert find_refusal("/v1/chat/completions", body) is None
    options = body.get("prompt_cache_options")
    return options, "prompt_cache_breakpoint" in str(body["messages"])


def test_the_sites_prompt_ends_at_a_breakpoint_that_all_conversations_read_to(make_app, upstream):
    client = make_app(system_prompt=SITE_TEXT).test_client()

    post(client, messages=TALK)

    assert upstream.sent[-1].body["messages"] == [MARKED, *TALK]
    assert marks(upstream) == (None, True)


@pytest.mark.parametrize("stream", [False, True])
def test_a_stored_prompts_text_has_one_too(make_app, upstream, tmp_path, stream):
    (tmp_path / "guide.toml").write_text(f'system = """{SITE_TEXT}"""\n', encoding="utf-8")
    client = make_app(prompts_dir=str(tmp_path)).test_client()
    if stream:
        upstream.streams(*stream_of("Hi"))

    post(client, "/api/chat/stream" if stream else "/api/chat", messages=TALK, promptName="guide").get_data()

    assert upstream.sent[-1].body["messages"][0]["content"][0]["prompt_cache_breakpoint"] == EXPLICIT
    assert marks(upstream) == (None, True)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", {"message": LONG}),
        ("/api/chat", {"userMessage": LONG}),
        ("/api/structured", {"prompt": LONG}),
        ("/api/structured", {"messages": TALK[:1]}),
        ("/api/vision", {"prompt": LONG, "imageUrl": "https://example.com/cat.png"}),
        ("/api/vision", {"prompt": "What is it?", "imageUrl": "https://example.com/cat.png", "detail": "high"}),
    ],
)
def test_what_nobody_continues_is_not_written_to_the_cache(make_app, upstream, path, body):
    upstream.answers(completion("{}"))

    post(make_app().test_client(), path, **body)

    assert marks(upstream) == (EXPLICIT, False)


def test_of_a_single_request_only_the_sites_prompt_is_written(make_app, upstream):
    post(make_app(system_prompt=SITE_TEXT).test_client(), message="And?")

    assert marks(upstream) == (EXPLICIT, True)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", {"messages": TALK}),
        ("/api/chat", {"messages": TALK[:1]}),  # the first turn of a conversation
        ("/api/structured", {"messages": TALK}),
        ("/api/chat", {"message": "Hi"}),  # too short for the cache
        ("/api/chat", {"messages": TALK, "systemPrompt": SITE_TEXT}),  # the client's text is no other's
    ],
)
def test_all_else_is_left_to_the_upstream(make_app, upstream, path, body):
    upstream.answers(completion("{}"))

    post(make_app().test_client(), path, **body)

    assert marks(upstream) == (None, False)


@pytest.mark.parametrize(
    "settings",
    [
        {"openai_base_url": "http://127.0.0.1:9/v1"},
        {"chat_model": "gpt-5", "chat_fallback_models": ()},
        {"chat_model": "gpt-4o", "chat_fallback_models": ()},
        {"chat_model": "a-new-model", "chat_fallback_models": ()},
    ],
)
def test_models_and_servers_that_may_not_take_it_are_not_sent_it(make_app, upstream, settings):
    post(make_app(system_prompt=SITE_TEXT, **settings).test_client(), message=LONG)

    assert marks(upstream) == (None, False)
    assert upstream.sent[-1].body["messages"][0] == PLAIN


@pytest.mark.parametrize(
    "refusal",
    [
        error(
            "Unknown parameter: 'prompt_cache_options'.", param="prompt_cache_options", code="unknown_parameter"
        ),
        error("Unknown parameter: 'prompt_cache_options.mode'.", param="prompt_cache_options.mode"),
        error(
            "Unknown parameter: 'messages[0].content[0].prompt_cache_breakpoint'.",
            param="messages[0].content[0].prompt_cache_breakpoint",
            code="unknown_parameter",
        ),
        error("prompt_cache_breakpoint is not supported on this model"),
    ],
)
def test_a_refusal_is_learnt(make_app, upstream, refusal):
    client = make_app(system_prompt=SITE_TEXT, retry_max_attempts=1).test_client()
    upstream.answers(refusal, status=400)

    post(client, message=LONG)
    post(client, message=LONG)

    assert len(upstream.sent) == 3
    assert [marks(upstream, number)[1] for number in range(3)] == [True, False, False]
    assert [marks(upstream, number)[0] for number in range(3)] == [EXPLICIT, None, None]


def test_a_refusal_that_quotes_the_client_teaches_nothing(make_app, upstream):
    client = make_app(system_prompt=SITE_TEXT, chat_fallback_models=()).test_client()
    upstream.answers(error("Invalid text: 'prompt_cache_breakpoint is not supported on this model'"), status=400)

    post(client, message=LONG, status=400)
    post(client, message=LONG)

    assert marks(upstream) == (EXPLICIT, True)


def test_a_fallback_without_breakpoints_gets_the_plain_text(make_app, upstream):
    client = make_app(system_prompt=SITE_TEXT, chat_fallback_models=("gpt-5",), retry_max_attempts=1).test_client()
    upstream.answers(error(), status=500)

    client.post("/api/chat", json={"message": LONG})

    assert [sent.body["model"] for sent in upstream.sent] == ["gpt-6.1-terra", "gpt-5"]
    assert [marks(upstream, number) for number in range(2)] == [(EXPLICIT, True), (None, False)]


def test_bodies_are_the_same_to_the_byte_and_stable_from_turn_to_turn(make_app, upstream):
    client = make_app(system_prompt=SITE_TEXT).test_client()
    tool = {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
    }
    first = TALK[:1]

    for messages in (first, first, TALK):
        post(client, messages=messages, tools=[tool])

    once, again, later = (orjson.dumps(sent.body) for sent in upstream.sent)
    assert once == again
    assert b'"tools":' in once[: once.index(b'"messages":')]  # all that comes before them in the prompt
    end_of_first = once.index(b"}]", once.index(b"inscription"))
    assert later.startswith(once[:end_of_first])
