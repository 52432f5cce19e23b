from __future__ import annotations

import base64
import json
from datetime import date

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from app import create_app
from app.config import Config
from tests.fakes.encodings import count
from tests.fakes.generated import generated
from tests.fakes.upstreams.openai_answers import completion, stream_of
from tests.fakes.wire.reading import events_of

SYSTEM = {"role": "system", "content": "Be brief."}
CALLING = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "rain"}
TOO_LONG = "The input is longer than this site accepts, even without the earlier turns."


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


OLD = [user("a" * 500), assistant("b" * 500)]
LAST = [user("and now?")]
LONG = [user("a" * 3_000), assistant("b" * 1_000), user("c" * 3_000), assistant("d" * 1_000), *LAST]
WORDY = [user("the conversation goes on " * 40), assistant("words " * 40), *LAST]


def sent_messages(upstream):
    return upstream.sent[-1].body["messages"]


def test_the_oldest_turns_are_left_out_and_counted(make_app, upstream, records):
    client = make_app(max_input_tokens=500).test_client()

    answer = client.post("/api/chat", json={"messages": [SYSTEM, *OLD, user("b"), assistant("c"), *LAST]})

    assert answer.status_code == 200
    assert answer.json["trimmed"] == 2
    assert sent_messages(upstream) == [SYSTEM, user("b"), assistant("c"), *LAST]
    assert records[0].trimmed == 2


def test_a_conversation_that_fits_is_sent_whole_and_nothing_is_said(make_app, upstream):
    client = make_app(max_input_tokens=2_000).test_client()

    answer = client.post("/api/chat", json={"messages": [SYSTEM, *OLD, *LAST]})

    assert list(answer.json) == ["reply", "finishReason", "usage", "model", "id"]
    assert sent_messages(upstream) == [SYSTEM, *OLD, *LAST]


def test_the_sites_own_prompt_is_kept(make_app, upstream):
    client = make_app(max_input_tokens=300, system_prompt="Speak French.").test_client()

    client.post("/api/chat", json={"messages": [*OLD, *LAST]})

    assert sent_messages(upstream) == [{"role": "system", "content": "Speak French."}, *LAST]


def test_a_stream_says_it_at_its_end(make_app, upstream):
    client = make_app(max_input_tokens=300).test_client()
    upstream.streams(*stream_of("Hi"))

    events = events_of(client.post("/api/chat/stream", json={"messages": [*OLD, *LAST]}).data)

    assert events[-1]["done"] is True
    assert events[-1]["trimmed"] == 2
    assert sent_messages(upstream) == LAST


def test_a_stream_that_is_whole_says_nothing(make_app, upstream):
    upstream.streams(*stream_of("Hi"))

    answer = make_app().test_client().post("/api/chat/stream", json={"messages": [*OLD, *LAST]})

    events = events_of(answer.data)
    assert events[-1]["done"] is True

    assert "trimmed" not in events[-1]


def test_bare_text_is_trimmed_as_well(make_app, upstream):
    client = make_app(max_input_tokens=300).test_client()
    upstream.streams(*stream_of("Hi"))

    answer = client.post("/api/chat/openai", json={"chatSettings": {}, "messages": [*OLD, *LAST]})

    assert answer.text == "Hi"
    assert sent_messages(upstream) == LAST


def test_structured_output_is_trimmed_as_well(make_app, upstream):
    client = make_app(max_input_tokens=300).test_client()
    upstream.answers(completion('{"a": 1}'))

    answer = client.post("/api/structured", json={"messages": [*OLD, user("Some JSON, please")]})

    assert answer.json["data"] == {"a": 1}
    assert answer.json["trimmed"] == 2


def test_a_schema_and_tools_count_as_input(make_app, upstream):
    client = make_app(max_input_tokens=1_600).test_client()
    tool = {"type": "function", "function": {"name": "weather", "description": "d" * 600}}
    messages = [*OLD, *LAST]

    assert "trimmed" not in client.post("/api/chat", json={"messages": messages}).json
    assert client.post("/api/chat", json={"messages": messages, "tools": [tool]}).json["trimmed"] == 2


def test_a_call_and_its_result_stay_together(make_app, upstream):
    client = make_app(max_input_tokens=300).test_client()
    talk = [user("o" * 300), user("weather?"), CALLING, user("are you there?"), RESULT, *LAST]

    answer = client.post("/api/chat", json={"messages": talk})
    assert answer.json["trimmed"] == 1
    assert sent_messages(upstream) == [*talk[1:3], RESULT, talk[3], *LAST]

    answer = client.post("/api/chat", json={"messages": [*talk[:-1], user("x" * 250)]})
    assert answer.json["trimmed"] == 4
    assert sent_messages(upstream) == [talk[3], user("x" * 250)]


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/api/chat", {"message": "x" * 500}),
        ("/api/chat", {"messages": [{"role": "system", "content": "x" * 500}, *OLD, *LAST]}),
        ("/api/chat/stream", {"message": "x" * 500}),
        ("/api/structured", {"prompt": "x" * 500}),
        ("/api/vision", {"prompt": "What is it?", "imageUrl": "https://example.com/cat.png"}),
    ],
)
def test_what_does_not_fit_even_so_is_refused_before_anything_is_spent(make_app, upstream, route, body):
    app = make_app(max_input_tokens=400)

    answer = app.test_client().post(route, json=body)

    assert answer.status_code == 400
    assert answer.json["code"] == "context_length_exceeded"
    assert answer.json["error"] == TOO_LONG
    assert upstream.sent == []


def test_a_picture_counts_for_its_tokens_and_not_for_its_bytes(make_app, upstream):
    client = make_app(max_input_tokens=50_000).test_client()
    pixel = base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    )

    answer = client.post(
        "/api/vision",
        json={"prompt": "?", "imageUrl": f"data:image/png;base64,{base64.b64encode(pixel).decode()}"},
    )

    assert answer.status_code == 200


class TestWindow:
    """gpt-4 takes 8,192 tokens, of which its answer may be 1,000 here."""

    @pytest.fixture
    def settings(self, upstream):
        upstream.today = date(2026, 1, 1)  # when a model with so small a window was still served
        return {"chat_model": "gpt-4", "chat_fallback_models": (), "max_tokens": 1_000}

    def test_history_is_trimmed_to_the_models_window(self, make_app, upstream, settings):
        answer = make_app(**settings).test_client().post("/api/chat", json={"messages": LONG})

        assert answer.json["trimmed"] == 2
        assert sent_messages(upstream) == LONG[2:]

    def test_a_shorter_answer_leaves_more_of_it(self, make_app, upstream, settings):
        client = make_app(**settings).test_client()

        answer = client.post("/api/chat", json={"messages": LONG, "maxTokens": 10})

        assert "trimmed" not in answer.json

    def test_a_fallback_has_to_take_it_too(self, make_app, upstream, settings):
        settings |= {"chat_model": "gpt-5", "chat_fallback_models": ("gpt-4",)}

        answer = make_app(**settings).test_client().post("/api/chat", json={"messages": LONG})

        assert answer.json["trimmed"] == 2

    def test_a_model_nobody_knows_gets_everything(self, make_app, upstream, settings):
        settings |= {"chat_model": "llama3"}

        answer = make_app(**settings).test_client().post("/api/chat", json={"messages": LONG})

        assert "trimmed" not in answer.json
        assert sent_messages(upstream) == LONG

    def test_whether_a_single_turn_is_too_long_is_for_the_model_to_say(self, make_app, upstream, settings):
        client = make_app(**settings).test_client()

        answer = client.post("/api/chat", json={"messages": [*OLD, user("x" * 9_000)]})

        assert answer.status_code == 200
        assert answer.json["trimmed"] == 2
        assert sent_messages(upstream) == [user("x" * 9_000)]


class TestExactCounts:
    """By default, texts count the tokens that OpenAI's encoding makes of them."""

    @pytest.fixture
    def exact(self):
        """The tokens of the conversation: 4 for each message besides its text, and 3 for the answer."""
        return sum(4 + count("o200k_base", message["content"]) for message in WORDY) + 3

    def test_what_just_fits_is_not_trimmed(self, make_app, upstream, exact):
        answer = make_app(max_input_tokens=exact).test_client().post("/api/chat", json={"messages": WORDY})

        assert "trimmed" not in answer.json
        assert sent_messages(upstream) == WORDY

    def test_what_is_one_token_too_long_is(self, make_app, upstream, exact):
        answer = make_app(max_input_tokens=exact - 1).test_client().post("/api/chat", json={"messages": WORDY})

        assert answer.json["trimmed"] == 2

    def test_bytes_count_for_other_models_unless_the_owner_names_an_encoding(self, make_app, exact):
        settings = {"chat_model": "llama3", "chat_fallback_models": (), "max_input_tokens": exact}
        own, named = make_app(**settings), make_app(**settings, default_encoding="o200k_base")

        assert own.test_client().post("/api/chat", json={"messages": WORDY}).json["trimmed"] == 2
        assert "trimmed" not in named.test_client().post("/api/chat", json={"messages": WORDY}).json

    def test_a_worker_loads_its_models_encodings_when_it_starts(self, make_app):
        parts = make_app().extensions["gatehouse"]

        parts.start()
        try:
            assert list(parts.token_counts._by_model) == ["gpt-6.1-terra", "gpt-6-luna"]
        finally:
            parts.close()


def test_the_offline_model_gets_what_fits_too(monkeypatch):
    monkeypatch.setattr("app.offline_model.completion.time.sleep", lambda _: None)
    client = create_app(Config(max_input_tokens=300)).test_client()

    answer = client.post("/api/chat", json={"messages": [*OLD, *LAST]})

    assert answer.status_code == 200
    assert answer.json["trimmed"] == 2


turns = st.lists(
    st.tuples(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=120), st.booleans()
    )
    .filter(lambda turn: turn[0].strip())
    .map(lambda turn: [user(turn[0]), *([CALLING, RESULT] if turn[1] else [assistant("ok")])]),
    min_size=1,
    max_size=8,
)


@generated(cases=60, quickly=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns=turns, has_prompt=st.booleans())
def test_no_input_is_larger_than_allowed_and_none_is_smaller_than_it_must_be(
    client_of_700, upstream, turns, has_prompt
):
    upstream.sent.clear()
    prompt = [SYSTEM] if has_prompt else []
    messages = [*prompt, *(message for turn in turns for message in turn), *LAST]

    answer = client_of_700.post("/api/chat", json={"messages": messages})

    assert answer.status_code == 200
    sent = sent_messages(upstream)
    trimmed = answer.json.get("trimmed", 0)
    assert sent == [*prompt, *messages[len(prompt) + trimmed :]]
    assert sent[len(prompt)]["role"] == "user"
    assert sum(len((message["content"] or "").encode()) for message in sent) <= 700
    if trimmed:
        # With a quarter of the room more, and the turns beside that line, it would not fit: their JSON is longer than
        # what they count for.
        longest = max(len(json.dumps(turn, ensure_ascii=False).encode()) for turn in turns)
        assert len(json.dumps(sent, ensure_ascii=False).encode()) + 700 / 4 + 2 * longest > 700


@pytest.fixture
def client_of_700(make_app):
    return make_app(max_input_tokens=700, chat_model="llama3", chat_fallback_models=()).test_client()
