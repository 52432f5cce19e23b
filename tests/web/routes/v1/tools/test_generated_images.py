"""Images that OpenAI makes, over POST /v1/responses: what an owner allows, what they cost, and how large they may be."""

from __future__ import annotations

import base64
import json

import pytest

from app.models.pricing.catalog import Prices
from app.models.token_counts import Usage
from app.openai_service.responses import generated_images as bounds
from tests.fakes.person import Person
from tests.fakes.tables import each_row
from tests.fakes.upstreams import generated_images as image_tool
from tests.fakes.upstreams import hosted_tools as hosted
from tests.fakes.upstreams.openai_answers import error
from tests.fakes.wire.reading import read_typed_events as events_of
from tests.media.images.pictures import decoded, encoded, photo

MODEL = "gpt-image-1.5"
PRICE = 250_000
TOOL = {
    "type": "image_generation",
    "action": "auto",
    "background": "transparent",
    "input_fidelity": "low",
    "model": MODEL,
    "moderation": "auto",
    "output_compression": 100,
    "output_format": "webp",
    "partial_images": 2,
    "quality": "high",
    "size": "1024x1536",
}
PLAIN = {"type": "image_generation"}
ASKED = {"input": "Draw a cat."}
SETTINGS = {
    "allowed_openai_tools": ("image_generation", "web_search"),
    "openai_tool_resources": (MODEL,),
    "openai_image_price_usd": PRICE / 1_000_000,
}
TOKENS = Usage(prompt_tokens=300, completion_tokens=40)
MIB = 1024 * 1024


@pytest.fixture
def app(make_app):
    return make_app(**SETTINGS, user_budget_usd=100.0)


@pytest.fixture
def person(app):
    return Person(app)


def ask(person, *tools, **fields):
    return person.post("/v1/responses", {**ASKED, "tools": list(tools) or [PLAIN], **fields})


def cost_of_tokens():
    return Prices().cost_micro_usd("gpt-6.1-terra", TOKENS)


def cat(kind="PNG", size=(64, 48)):
    return base64.b64encode(encoded(photo(*size), kind)).decode()


def noisy_cat():
    """Larger than what is cut out of a body before it is parsed."""
    large = base64.b64encode(encoded(photo(1536, 1024), "PNG", compress_level=0)).decode()
    assert len(large) > 4 * MIB
    return large


def test_an_image_is_passed_on_and_paid_for(person, upstream):
    upstream.answers(hosted.answer(image_tool.image(), usage=image_tool.USAGE))

    answer = ask(person, TOOL)

    assert answer.status_code == 200, answer.text
    assert upstream.sent[0].path.endswith("/responses")
    image_tool.check_request(upstream.sent[0].raw)
    assert upstream.sent[0].raw["tools"] == [TOOL]
    drawn, _ = answer.json["output"]
    assert drawn == {**image_tool.image(), "id": drawn["id"]}
    assert drawn["id"].startswith("ig_") and "upstream" not in answer.text
    row = person.row()
    assert (row["cost_micro_usd"], row["tool_calls"], row["source"]) == (cost_of_tokens() + PRICE, 1, "reported")
    assert row["price_version"].endswith(f"+image/{PRICE}")


def test_each_image_is_paid_for_beside_other_calls(person, upstream):
    upstream.answers(
        hosted.answer(image_tool.image(), hosted.SEARCH, image_tool.image(number=2), usage=image_tool.USAGE)
    )

    ask(person, PLAIN, {"type": "web_search"})

    assert person.row()["cost_micro_usd"] == cost_of_tokens() + 2 * PRICE + 10_000


def test_a_stream_tells_what_is_seen_of_it_before(person, upstream):
    upstream.streams_events(*image_tool.events(image_tool.image(), partials=2, usage=image_tool.USAGE))

    events = events_of(ask(person, TOOL, stream=True).data)

    assert [event["type"] for event in events] == [
        event["type"] for event in image_tool.events(image_tool.image(), partials=2)
    ]
    partials = [event for event in events if event["type"].endswith("partial_image")]
    assert [(each["partial_image_index"], each["partial_image_b64"]) for each in partials] == [
        (0, "cGFydCA0"),
        (1, "cGFydCA1"),
    ]
    drawn = events[-1]["response"]["output"][0]
    assert drawn == {**image_tool.image(), "id": drawn["id"]}
    of_image = [event for event in events if event.get("output_index") == 0]
    assert {event.get("item_id") or event["item"]["id"] for event in of_image} == {drawn["id"]}
    assert "upstream" not in json.dumps(events)
    assert (person.row()["cost_micro_usd"], person.row()["tool_calls"]) == (cost_of_tokens() + PRICE, 1)


def test_an_answer_may_be_an_image_alone(person, upstream):
    whole = hosted.answer(image_tool.image())
    whole["output"].pop()
    told = [event for event in image_tool.events(image_tool.image()) if event.get("output_index") != 1]
    told[-1]["response"]["output"].pop()
    upstream.answers(whole)
    upstream.streams_events(*told)

    plain = ask(person).json
    last = events_of(ask(person, stream=True).data)[-1]["response"]

    for response in (plain, last):
        assert response["status"] == "completed"
        assert [item["type"] for item in response["output"]] == ["image_generation_call"]


def test_the_client_of_openai_reads_images(app, connect, upstream):
    upstream.streams_events(*image_tool.events(image_tool.image(), partials=1))

    with connect(app).responses.stream(**ASKED, model="gpt-6.1-terra", tools=[TOOL]) as stream:
        seen = {event.type: event for event in stream}
        final = stream.get_final_response()

    assert seen["response.image_generation_call.partial_image"].partial_image_b64 == "cGFydCA0"
    assert [item.type for item in final.output] == ["image_generation_call", "message"]
    assert final.output[0].result == image_tool.image()["result"]


def test_large_images_may_come_twice_in_a_stream(person, upstream):
    # The last event has more than any other event may have.
    images = [image_tool.image("i" * (5 * MIB), number=number) for number in (1, 2)]
    upstream.streams_events(*image_tool.events(*images), cut_at=65_536)

    last = events_of(ask(person, stream=True).data)[-1]

    assert last["type"] == "response.completed"
    assert [len(item["result"]) for item in last["response"]["output"][:2]] == [5 * MIB, 5 * MIB]


def test_only_the_answers_with_images_may_have_such_events():
    assert bounds.get_max_event_bytes({"tools": [PLAIN]}) == bounds.MAX_IMAGE_CHARS + 8 * MIB
    for body in ({}, {"tools": []}, {"tools": [{"type": "web_search"}]}):
        assert bounds.get_max_event_bytes(body) == 8 * MIB


@pytest.mark.parametrize("stream", [False, True])
def test_more_than_a_worker_holds_is_a_failure_that_is_paid_for(person, upstream, monkeypatch, stream):
    monkeypatch.setattr(bounds, "MAX_IMAGE_CHARS", 1_000)
    images = [image_tool.image("i" * 600, number=number) for number in (1, 2)]
    upstream.answers(hosted.answer(*images, usage=image_tool.USAGE)) if not stream else None
    upstream.streams_events(*image_tool.events(*images, usage=image_tool.USAGE)) if stream else None

    answer = ask(person, stream=stream)

    if stream:
        events = events_of(answer.data)
        assert events[-1]["type"] == "response.failed"
        failure = events[-1]["response"]["error"]
        assert [item["status"] for item in events[-1]["response"]["output"]] == ["completed", "failed"]
    else:
        assert (answer.status_code, answer.json["error"]["param"]) == (400, "tools")
        failure = answer.json["error"]
    assert "too large in total; set max_tool_calls" in failure["message"]
    assert 2 * PRICE <= person.row()["cost_micro_usd"] <= person.row()["held_micro_usd"]
    assert len(upstream.sent) == 1


def test_the_most_that_the_images_can_cost_is_held_before(make_app, upstream):
    person = Person(make_app(**SETTINGS, user_budget_usd=1.2))

    refused = ask(person, max_output_tokens=100)  # 5 images for 0.25 USD each
    upstream.answers(hosted.answer(image_tool.image()))
    fits = ask(person, max_tool_calls=3, max_output_tokens=100)

    assert refused.status_code == 429 and refused.json["error"]["code"] == "budget_exceeded"
    assert fits.status_code == 200, fits.text
    assert len(upstream.sent) == 1


def test_with_images_no_more_calls_are_made_than_a_worker_can_hold(make_app, upstream):
    person = Person(make_app(**SETTINGS, openai_tool_max_calls=128))

    for tools, most in (([PLAIN], 8), ([PLAIN, {"type": "web_search"}], 8), ([{"type": "web_search"}], 128)):
        upstream.answers(hosted.answer())
        assert ask(person, *tools, max_tool_calls=200).json["max_tool_calls"] == most
        assert upstream.sent[-1].raw["max_tool_calls"] == most


def test_who_leaves_pays_for_the_images_that_were_begun(person, upstream):
    upstream.streams_events(*image_tool.events(image_tool.image(), partials=3)[:7])

    response = ask(person, TOOL, stream=True)
    for piece in response.response:
        if b"partial_image" in piece:
            break
    response.close()

    row = person.row()
    assert (row["outcome"], row["source"]) == ("client_gone", "estimated")
    assert PRICE <= row["cost_micro_usd"] <= row["held_micro_usd"]


def test_an_unfinished_image_of_a_broken_stream_has_failed_and_is_paid_for(person, upstream):
    told = image_tool.events(image_tool.image(), partials=1)
    upstream.streams_events(*told[:6])
    assert told[4]["type"].endswith(".generating")

    last = events_of(ask(person, stream=True).data)[-1]

    assert last["type"] == "response.failed"
    assert [item["status"] for item in last["response"]["output"]] == ["failed"]
    assert 2 * PRICE <= person.row()["cost_micro_usd"] <= person.row()["held_micro_usd"]


def test_an_image_is_never_a_cached_one(person, upstream):
    for result in ("b25l", "dHdv"):
        upstream.answers(hosted.answer(image_tool.image(result)))
        assert ask(person, cache=True, temperature=0).json["output"][0]["result"] == result


def test_without_the_setting_it_is_refused_by_name(make_app, upstream):
    person = Person(make_app(allowed_openai_tools=("web_search",)))

    for fields in ({}, {"tool_choice": PLAIN}):
        answer = ask(person, {"type": "web_search"}, PLAIN, **fields)
        assert (answer.status_code, answer.json["error"]["param"]) == (400, "tools[1]")
        assert "the type image_generation is not accepted" in answer.json["error"]["message"]
    assert upstream.sent == []


def test_it_can_be_chosen(person, upstream):
    upstream.answers(hosted.answer(image_tool.image()))

    assert ask(person, tool_choice=PLAIN).status_code == 200
    assert upstream.sent[0].raw["tool_choice"] == PLAIN


@each_row(
    ("fields", "name"),
    [
        ({"action": "draw"}, "action"),
        ({"background": "red"}, "background"),
        ({"background": "transparent", "output_format": "jpeg"}, "background"),
        ({"complexity": "high"}, "complexity"),
        ({"frame_count": 9}, "frame_count"),
        ({"input_fidelity": "auto"}, "input_fidelity"),
        ({"input_image_mask": {"file_id": "file-1"}}, "input_image_mask"),
        ({"input_image_mask": {"image_url": "data:image/png;base64,AAAA"}}, "input_image_mask"),
        ({"model": "gpt-image-2.6-sunburst"}, "model"),
        ({"moderation": "off"}, "moderation"),
        ({"n": 2}, "n"),
        ({"output_compression": 101}, "output_compression"),
        ({"output_format": "gif"}, "output_format"),
        ({"output_format": "svg"}, "output_format"),
        ({"partial_images": 4}, "partial_images"),
        ({"quality": "max"}, "quality"),
        ({"size": "3840x2160"}, "size"),
        ({"svg": {"model": "gpt-6.1-terra"}}, "svg"),
    ],
)
def test_what_may_cost_more_than_the_price_or_is_not_valid_is_refused(person, upstream, fields, name):
    answer = ask(person, {**PLAIN, **fields})

    assert (answer.status_code, answer.json["error"]["param"]) == (400, f"tools[0].{name}")
    assert upstream.sent == []


def test_what_the_model_refuses_is_the_callers_error(person, upstream):
    upstream.answers(error("Unsupported", param="tools[0].input_fidelity"), status=400)

    answer = ask(person, {**PLAIN, "input_fidelity": "high"})

    assert (answer.status_code, answer.json["error"]["type"]) == (400, "invalid_request_error")
    assert person.row()["cost_micro_usd"] == 0


@each_row(
    ("kind", "make_image"),
    [("PNG", cat), ("JPEG", lambda: cat("JPEG")), ("WebP", lambda: cat("WEBP")), ("large PNG", noisy_cat)],
    ids=["PNG", "JPEG", "WebP", "large PNG"],
    quickly=lambda kind, make_image: kind in {"JPEG", "large PNG"},
)
def test_an_image_that_is_sent_back_is_seen_by_the_model(person, upstream, kind, make_image):
    upstream.answers(hosted.answer(image_tool.image(make_image())))
    first = ask(person).json
    upstream.answers(hosted.answer(image_tool.image(number=2)))

    turns = [
        {"role": "user", "content": "Draw a cat."},
        *first["output"],
        {"role": "user", "content": "Now blue."},
    ]
    answer = ask(person, input=turns)

    assert answer.status_code == 200, answer.text
    hosted.check_types(upstream.sent[-1].raw)
    asked, shown, said, again = upstream.sent[-1].raw["input"]
    assert [turn["role"] for turn in (asked, shown, said, again)] == ["user", "user", "assistant", "user"]
    text, image = shown["content"]
    assert (text["text"], image["type"]) == ("(generated image)", "input_image")
    sent = decoded(base64.b64decode(image["image_url"].partition(",")[2]))
    assert sent.size == decoded(base64.b64decode(first["output"][0]["result"])).size


def test_an_image_may_come_between_a_call_and_its_result(person, upstream):
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c", "output": "done"}
    upstream.answers(hosted.answer())

    answer = ask(person, input=[{"role": "user", "content": "Hi"}, call, image_tool.image(cat()), result])

    assert answer.status_code == 200, answer.text
    sent = [item.get("type", "message") for item in upstream.sent[0].raw["input"]]
    assert sent == ["message", "function_call", "function_call_output", "message"]


@each_row(
    ("item", "param"),
    [
        (image_tool.image("bm8gaW1hZ2U="), "input[1].result"),
        (image_tool.image(7), "input[1].result"),
        ({"type": "item_reference", "id": "ig_1"}, "input[1]"),
    ],
)
def test_what_is_sent_back_must_be_an_image(person, upstream, item, param):
    answer = ask(person, input=[{"role": "user", "content": "Hi"}, item])

    assert (answer.status_code, answer.json["error"]["param"]) == (400, param), answer.text
    assert upstream.sent == []


def test_an_image_that_was_not_made_is_left_out(person, upstream):
    upstream.answers(hosted.answer())
    failed = image_tool.image(None, status="failed")

    answer = ask(person, input=[{"role": "user", "content": "Hi"}, failed])

    assert answer.status_code == 200
    assert len(upstream.sent[0].raw["input"]) == 1


def test_what_is_sent_back_takes_the_scope_vision(make_app, upstream):
    person = Person(make_app(**SETTINGS, anonymous_scopes=("chat",)))

    answer = ask(person, input=[{"role": "user", "content": "Hi"}, image_tool.image(cat())])

    assert answer.status_code in (401, 403)
    assert upstream.sent == []


def test_an_image_is_made_from_as_many_as_its_price_is_for(person, upstream):
    turns = [
        {"role": "user", "content": "Draw it."},
        *[image_tool.image(cat(), number=number) for number in range(5)],
    ]

    refused = ask(person, input=turns)
    upstream.answers(hosted.answer())
    generated = ask(person, {**PLAIN, "action": "generate"}, input=turns)
    upstream.answers(hosted.answer())
    fewer = ask(person, input=turns[:-1])

    assert (refused.status_code, refused.json["error"]["param"]) == (400, "input")
    assert "at most 4 images with image_generation" in refused.json["error"]["message"]
    assert (generated.status_code, fewer.status_code) == (200, 200)


@pytest.mark.parametrize("is_flagged", [False, True])
def test_an_image_is_moderated_as_the_text_is(make_app, upstream, is_flagged):
    person = Person(make_app(**SETTINGS, moderation="both"))
    fine = {"results": [{"flagged": False, "categories": {}}]}
    upstream.answers(fine)
    upstream.answers(hosted.answer(image_tool.image()))
    upstream.answers(fine)
    upstream.answers({"results": [{"flagged": is_flagged, "categories": {"violence": is_flagged}}]})

    answer = ask(person)

    [shown] = upstream.sent[-1].raw["input"]
    assert shown["image_url"]["url"] == f"data:image/png;base64,{image_tool.image()['result']}"
    assert answer.status_code == (422 if is_flagged else 200)
    assert person.row()["cost_micro_usd"] > PRICE
