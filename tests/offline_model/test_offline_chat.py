import json

import pytest

from app.offline_model import create_offline_model, tokens


def test_every_reply_says_that_no_ai_was_asked(ask):
    completion = ask("Hello there")
    assert completion.model == "offline"
    assert completion.id.startswith("chatcmpl-offline-")
    assert completion.choices[0].message.content.startswith("[offline model] No AI was asked")


def test_reply_is_of_the_last_message_and_the_same_each_time(offline, ask):
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "First question"},
        {"role": "assistant", "content": "First answer"},
        {"role": "user", "content": "What of the gate?"},
    ]
    replies = {
        offline.chat.completions.create(model="m", messages=messages).choices[0].message.content for _ in range(2)
    }
    (reply,) = replies
    assert "“What of the gate?”" in reply
    assert "First question" not in reply
    assert "4 messages, a system prompt among them" in reply


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("Show me markdown", "# A heading"),
        ("write some code", "```python"),
        ("make a list", "1. The first point"),
        ("a table, please", "| --- |"),
        ("tell me a long story", "paragraph 8 of eight"),
        ("Hi!", "Hello!"),
        ("something else", "ask for markdown"),
    ],
)
def test_sample_asked_for_is_given(ask, asked, answered):
    assert answered in ask(asked).choices[0].message.content


def test_usage_counts_the_pieces_of_the_reply(ask):
    completion = ask("Count me")
    usage = completion.usage
    assert usage.completion_tokens == tokens.count(completion.choices[0].message.content)
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.prompt_tokens_details.cached_tokens == 0
    assert usage.completion_tokens_details.reasoning_tokens == 0


def test_tokens_joined_are_the_text_again():
    text = "Grüße, 世界!  \n\tinternationalization_of 3.14 👩‍👩‍👧"
    assert "".join(tokens.split(text)) == text


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_reply_is_cut_at_the_limit(ask, limit):
    completion = ask("Hello", **{limit: 7})
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage.completion_tokens == 7
    assert tokens.count(completion.choices[0].message.content) == 7


def test_reply_as_long_as_the_limit_is_not_called_cut(ask):
    whole = ask("Hello").usage.completion_tokens
    assert ask("Hello", max_tokens=whole).choices[0].finish_reason == "stop"


@pytest.mark.parametrize("stop", ["asked", ["nowhere", "asked"]])
def test_reply_ends_before_a_stop_sequence(ask, stop):
    choice = ask("Hello", stop=stop).choices[0]
    assert choice.message.content == "[offline model] No AI was "
    assert choice.finish_reason == "stop"


def test_stream_is_the_whole_reply_one_token_an_event(ask):
    whole = ask("Tell me of 3 gates")
    chunks = list(ask("Tell me of 3 gates", stream=True, stream_options={"include_usage": True}))
    first, *contents, last, usage = chunks
    assert first.choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content for chunk in contents) == whole.choices[0].message.content
    assert last.choices[0].finish_reason == "stop"
    assert usage.choices == []
    assert usage.usage == whole.usage
    assert len(contents) == usage.usage.completion_tokens
    assert {chunk.model for chunk in chunks} == {"offline"}
    assert len({chunk.id for chunk in chunks}) == 1


def test_stream_without_include_usage_has_none(ask):
    assert all(chunk.choices and chunk.usage is None for chunk in ask("Hello", stream=True))


def test_cut_stream_ends_with_length(ask):
    chunks = list(ask("Hello", stream=True, max_tokens=3))
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["", "[", "offl", "ine", None]
    assert chunks[-1].choices[0].finish_reason == "length"


def test_stream_is_written_an_event_at_a_time_and_ends_with_done(http):
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    with http.stream("POST", "/v1/chat/completions", json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        writes = list(response.iter_raw())
    assert all(write.startswith(b"data: ") and write.count(b"\n\n") == 1 for write in writes)
    assert all(json.loads(write.removeprefix(b"data: ")) for write in writes[:-1])
    assert writes[-1] == b"data: [DONE]\n\n"


def test_stream_waits_between_tokens_only(mocker):
    sleep = mocker.patch("app.offline_model.completion.time.sleep")
    body = json.dumps(
        {"model": "m", "stream": True, "max_tokens": 3, "messages": [{"role": "user", "content": "Hi"}]}
    )
    from werkzeug.test import Client

    response = Client(create_offline_model(token_delay_s=0.5)).post("/chat/completions", data=body)
    assert b"[DONE]" in response.get_data()
    assert sleep.call_args_list == [mocker.call(0.5)] * 2


def test_json_mode_answers_with_an_object(ask):
    reply = json.loads(ask("json, please", response_format={"type": "json_object"}).choices[0].message.content)
    assert reply["offline"] is True
    assert "json, please" in reply["reply"]


def test_models_lists_the_offline_model(offline, http):
    assert [model.id for model in offline.models.list()] == ["offline"]
    assert http.get("/models").json() == http.get("/v1/models").json()
