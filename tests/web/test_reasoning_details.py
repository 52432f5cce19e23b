"""/v1/chat/completions gives sealed reasoning in `reasoning_details`, where openai's own client brings it back."""

from __future__ import annotations

import httpx2
import pytest

from tests.fakes.site import bearer
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import completion, stream_of
from tests.fakes.upstreams.responses_form import function_call, reasoning, response
from tests.fakes.wire.reading import events_of
from tests.web.test_sealed_reasoning import kinds_of, stream_tools

TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}},
}
HI = {"role": "user", "content": "Hi"}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "rain"}
PATH = "/v1/chat/completions"


@pytest.fixture
def app(make_app):
    return make_app(upstream_api="responses", secret_key="k" * 40)


def ask(client, upstream, headers=None):
    upstream.answers(response("completed", reasoning("gAAAA-1"), function_call("call_1", "get_weather")))
    answer = client.post(PATH, json={"messages": [HI], "tools": [TOOL]}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json["choices"][0]["message"]


def test_a_message_that_is_sent_back_as_it_came_goes_on_where_the_model_was(client, upstream):
    message = ask(client, upstream)
    upstream.answers(completion("Rain"))

    answer = client.post(PATH, json={"messages": [HI, message, RESULT], "tools": [TOOL]})

    assert answer.json["choices"][0]["message"]["content"] == "Rain"
    assert kinds_of(upstream.sent[1]) == ["user", "reasoning", "function_call", "function_call_output"]
    assert upstream.sent[1].raw["input"][1]["encrypted_content"] == "gAAAA-1"


def test_openais_client_does_so_by_itself(app, upstream):
    from openai import OpenAI
    from werkzeug.test import Client

    def send(request):
        answer = Client(app).post(request.url.path, data=request.content, headers=dict(request.headers.items()))
        return httpx2.Response(answer.status_code, headers=dict(answer.headers), content=answer.get_data())

    openai = OpenAI(
        api_key="anonymous",
        base_url="http://site/v1",
        http_client=httpx2.Client(transport=httpx2.MockTransport(send)),
    )
    upstream.answers(response("completed", reasoning("gAAAA-1"), function_call("call_1", "get_weather")))
    messages = [HI]
    first = openai.chat.completions.create(model="gpt-6.1-terra", messages=messages, tools=[TOOL])
    messages += [first.choices[0].message, RESULT]
    upstream.answers(completion("Rain"))

    assert (
        openai.chat.completions.create(model="gpt-6.1-terra", messages=messages).choices[0].message.content
        == "Rain"
    )
    assert "reasoning" in kinds_of(upstream.sent[1])


def test_the_end_of_a_stream_has_it(client, upstream):
    stream_tools(upstream)
    body = {"messages": [HI], "tools": [TOOL], "stream": True}
    data = client.post(PATH, json=body).data.removesuffix(b"data: [DONE]\n\n")
    deltas = [event["choices"][0]["delta"] for event in events_of(data) if event["choices"]]
    [details] = [delta["reasoning_details"] for delta in deltas if "reasoning_details" in delta]
    [calls] = [delta["tool_calls"] for delta in deltas if "tool_calls" in delta and "name" in str(delta)]

    turn = {"role": "assistant", "content": None, "tool_calls": calls, "reasoning_details": details}
    for call in turn["tool_calls"]:
        call.pop("index")
        call["function"]["arguments"] = "{}"
    upstream.answers(completion("Rain"))
    assert client.post(PATH, json={"messages": [HI, turn, RESULT], "tools": [TOOL]}).status_code == 200
    assert "reasoning" in kinds_of(upstream.sent[1])


def test_answers_without_it_are_as_openai_has_them(client, upstream):
    upstream.answers(response("completed", reasoning(), *response()["output"]))
    answer = client.post(PATH, json={"messages": [HI]})
    upstream.streams(*stream_of("Hi"))
    stream = client.post(PATH, json={"messages": [HI], "stream": True}).data

    assert b"reasoning_details" not in answer.data + stream


def test_that_of_another_user_is_refused(make_site, upstream):
    site = make_site(upstream_api="responses")
    message = ask(site.client, upstream, bearer(site.token()))
    body = {"messages": [HI, message, RESULT], "tools": [TOOL]}

    refused = site.client.post(PATH, json=body, headers=bearer(site.token(userId="ben")))

    assert refused.status_code == 400
    assert refused.json["error"]["param"] == "messages[1].reasoning_details[0]"


@each_row(
    "details",
    [
        None,
        [],
        "x",
        [1],
        [{"type": "reasoning.text", "text": "I thought"}],
        [{"type": "reasoning.encrypted", "data": "of another server"}],
        [{"type": "reasoning.encrypted", "data": 1}],
    ],
)
def test_what_other_servers_gave_is_ignored(client, upstream, details):
    turn = {"role": "assistant", "content": "Hello", "reasoning_details": details}
    upstream.answers(completion("Rain"))

    assert client.post(PATH, json={"messages": [HI, turn, HI]}).status_code == 200
    assert "reasoning_details" not in str(upstream.sent[0].raw)
