import json

import pytest

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current temperature in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}
STOCKS = {"type": "function", "function": {"name": "stockPrice", "description": "Price of a share"}}
TOOLS = [STOCKS, WEATHER]


@pytest.mark.parametrize(
    "question",
    ["How is the weather in Paris?", "TEMPERATURE in Paris?", "Call get_weather for Paris in Fahrenheit"],
)
def test_tool_the_user_mentions_is_called_with_words_of_theirs(ask, question):
    choice = ask(question, tools=TOOLS).choices[0]
    (call,) = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert call.function.name == "get_weather"
    arguments = json.loads(call.function.arguments)
    assert "Paris" in arguments["city"] or "Paris" in question.title()
    assert arguments["unit"] == ("fahrenheit" if "Fahrenheit" in question else "celsius")


def test_city_of_two_words_is_one_argument(ask):
    (call,) = ask("What's the weather in New York today?", tools=TOOLS).choices[0].message.tool_calls
    assert json.loads(call.function.arguments)["city"] == "New York"


def test_tool_nobody_mentions_is_not_called(ask):
    choice = ask("Tell me about the gate", tools=TOOLS).choices[0]
    assert choice.message.tool_calls is None
    assert choice.finish_reason == "stop"


def test_choice_decides_over_mention(ask):
    def called(choice):
        calls = ask("How is the weather?", tools=TOOLS, tool_choice=choice).choices[0].message.tool_calls
        return calls and calls[0].function.name

    assert called("none") is None
    assert called({"type": "function", "function": {"name": "stockPrice"}}) == "stockPrice"
    assert called("required") == "get_weather"


def test_required_choice_calls_a_tool_without_parameters_with_an_empty_object(ask):
    (call,) = ask("Hm", tools=[STOCKS], tool_choice="required").choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == {}


def test_streamed_call_comes_in_pieces_that_make_the_whole(ask):
    whole = ask("weather in Paris", tools=TOOLS)
    chunks = list(ask("weather in Paris", tools=TOOLS, stream=True, stream_options={"include_usage": True}))
    deltas = [call for chunk in chunks[:-1] for call in chunk.choices[0].delta.tool_calls or []]
    assert {delta.index for delta in deltas} == {0}
    assert deltas[0].id.startswith("call_")
    assert deltas[0].function.name == "get_weather"
    assert [delta.id for delta in deltas[1:]] == [None] * (len(deltas) - 1)
    arguments = "".join(delta.function.arguments for delta in deltas)
    assert arguments == whole.choices[0].message.tool_calls[0].function.arguments
    assert chunks[-2].choices[0].finish_reason == "tool_calls"
    assert chunks[-1].usage == whole.usage
    assert chunks[-1].usage.completion_tokens == len(deltas)


def test_call_is_cut_at_the_limit_as_text_is(ask):
    completion = ask("weather in Paris", tools=TOOLS, max_tokens=3)
    assert completion.choices[0].finish_reason == "length"
    assert completion.choices[0].message.tool_calls[0].function.arguments == '{"'
    assert completion.usage.completion_tokens == 3


@pytest.mark.parametrize("choice", ["auto", "required"])
def test_result_of_a_tool_is_answered_in_text(offline, ask, choice):
    question = "How is the weather in Paris?"
    asked = ask(question, tools=TOOLS).choices[0].message
    messages = [
        {"role": "user", "content": question},
        asked.model_dump(exclude_unset=True),
        {"role": "tool", "tool_call_id": asked.tool_calls[0].id, "content": "14 degrees, rain"},
    ]
    choice = offline.chat.completions.create(
        model="m", messages=messages, tools=TOOLS, tool_choice=choice
    ).choices[0]
    assert choice.message.tool_calls is None
    assert "14 degrees, rain" in choice.message.content


def test_tools_are_part_of_the_prompts_usage(ask):
    assert ask("Hm", tools=TOOLS).usage.prompt_tokens > ask("Hm").usage.prompt_tokens + 50


def test_parameters_nobody_can_fill_are_refused(http):
    tool = {
        "type": "function",
        "function": {
            "name": "f",
            "parameters": {"type": "object", "required": ["a"], "properties": {"a": False}},
        },
    }
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "f"}],
        "tools": [tool],
        "tool_choice": "required",
    }
    response = http.post("/v1/chat/completions", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "tools"


def test_a_custom_tool_gets_the_users_words(ask, offline):
    tool = {"type": "custom", "custom": {"name": "run_code", "description": "Runs code"}}
    choice = ask("Run this code", tools=[tool, *TOOLS]).choices[0]
    (call,) = choice.message.tool_calls
    named = {"type": "custom", "custom": {"name": "run_code"}}
    asked = {"model": "gpt-6.1-terra", "messages": [{"role": "user", "content": "Hm"}], "tools": [tool]}
    chunks = [*offline.chat.completions.create(**asked, tool_choice=named, stream=True)]

    assert (choice.finish_reason, call.type, call.custom.name) == ("tool_calls", "custom", "run_code")
    assert call.custom.input == "Run this code"
    first, *rest = [call.to_dict() for each in chunks for call in each.choices[0].delta.tool_calls or ()]
    assert (first["type"], first["custom"]["name"]) == ("custom", "run_code")
    assert "".join(each["custom"]["input"] for each in rest) == "Hm"
