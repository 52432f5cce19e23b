"""Images and files in the results of tools, over POST /v1/responses: prepared, bounded and passed on like all others."""

from __future__ import annotations

import base64

import pytest

from tests.fakes.person import Person
from tests.fakes.tables import each_row
from tests.fakes.upstreams.hosted_tools import check_types
from tests.fakes.upstreams.openai_answers import completion
from tests.fakes.upstreams.responses_form import message, response
from tests.media.documents.pdfs import pdf
from tests.media.images.pictures import encoded, exif, photo

PICTURE = encoded(photo(64, 48), "JPEG", exif=exif(6))
IMAGE = f"data:image/jpeg;base64,{base64.b64encode(PICTURE).decode()}"
FILE = f"data:application/pdf;base64,{base64.b64encode(pdf()).decode()}"
IMAGE_PART = {"type": "input_image", "image_url": IMAGE, "detail": "low"}
FILE_PART = {"type": "input_file", "filename": "a.pdf", "file_data": FILE}
TEXT_PART = {"type": "input_text", "text": "The plot."}
KINDS = each_row("kind", ["function_call", "custom_tool_call"])


def call(kind, call_id="call_1"):
    says = {"arguments": "{}"} if kind == "function_call" else {"input": "x"}
    return {"type": kind, "call_id": call_id, "name": "plot", **says}


def result(kind, *parts, call_id="call_1"):
    return {"type": f"{kind}_output", "call_id": call_id, "output": list(parts)}


@pytest.fixture
def over_responses(make_app):
    return make_app(upstream_api="responses")


@pytest.fixture
def over_chat(make_app):
    return make_app(upstream_api="chat")


def ask(app, *items):
    asked = [{"role": "user", "content": "Plot it."}, *items]
    return Person(app).post("/v1/responses", {"model": "gpt-6.1-terra", "input": asked, "max_output_tokens": 16})


@KINDS
def test_over_responses_they_stay_where_they_are(over_responses, upstream, kind):
    upstream.answers(response("completed", message("I see.")))

    answer = ask(over_responses, call(kind), result(kind, TEXT_PART, IMAGE_PART, FILE_PART))

    assert answer.status_code == 200, answer.text
    check_types(upstream.sent[0].raw)
    *_, sent = upstream.sent[0].raw["input"]
    text, image, file = sent["output"]
    assert (sent["type"], text) == (f"{kind}_output", TEXT_PART)
    assert (image["type"], image["detail"]) == ("input_image", "low")
    assert image["image_url"].startswith("data:image/")
    assert image["image_url"] != IMAGE, "turned upright, without its metadata"
    assert (file["type"], file["filename"], file["file_data"]) == ("input_file", "a.pdf", FILE)


@KINDS
def test_over_chat_completions_they_follow_the_results_of_the_turn(over_chat, upstream, kind):
    """Which take only texts there."""
    upstream.answers(completion("I see."))
    other = {"type": "function_call_output", "call_id": "call_2", "output": "2"}

    answer = ask(
        over_chat,
        call(kind),
        call("function_call", "call_2"),
        result(kind, TEXT_PART, IMAGE_PART),
        other,
        {"role": "user", "content": "Well?"},
    )

    assert answer.status_code == 200, answer.text
    _, turn, first, second, attached, last = upstream.sent[0].raw["messages"]
    assert len(turn["tool_calls"]) == 2
    assert (first["content"], second["content"]) == ("The plot.\n\n(attached)", "2")
    assert (attached["role"], [part["type"] for part in attached["content"]]) == ("user", ["image_url"])
    assert last == {"role": "user", "content": "Well?"}


def test_they_are_held_for_as_images(make_app, upstream):
    """A budget that has room for the bytes of the URL but not for an image of this size is too small for it."""
    url = "https://example.com/large.png"
    part = {"type": "input_image", "image_url": url}
    app = make_app(anonymous_budget_usd=0.01, upstream_api="responses")

    refused = ask(app, call("function_call"), result("function_call", part))
    text = ask(app, call("function_call"), result("function_call", {"type": "input_text", "text": url}))

    assert (refused.status_code, text.status_code) == (429, 200), text.text
    assert len(upstream.sent) == 1


def test_they_take_the_scope_vision(make_app, upstream):
    app = make_app(anonymous_scopes=("chat",))

    assert ask(app, call("function_call"), result("function_call", IMAGE_PART)).status_code == 401
    assert ask(app, call("function_call"), result("function_call", TEXT_PART)).status_code == 200
    assert len(upstream.sent) == 1


def test_one_may_be_larger_than_other_text(make_app, upstream):
    large = base64.b64encode(encoded(photo(300, 300), "PNG", compress_level=0)).decode()
    app = make_app(max_json_bytes=2_000, max_body_bytes=1_000_000)

    answer = ask(
        app,
        call("function_call"),
        result("function_call", {"type": "input_image", "image_url": f"data:image/png;base64,{large}"}),
    )

    assert answer.status_code == 200, answer.text


@each_row(
    ("part", "param"),
    [
        ({"type": "input_image", "image_url": "data:image/png;base64,QUJD"}, "input[2].output[0].image_url"),
        ({"type": "input_image", "image_url": "http://127.0.0.1/a.png"}, "input[2].output[0].image_url"),
        ({"type": "input_image", "file_id": "file-1"}, "input[2].output[0]"),
        ({"type": "input_file", "file_url": "https://example.com/a.pdf"}, "input[2].output[0]"),
        ({"type": "input_file", "filename": "a.pdf", "file_data": "QUJD"}, "input[2].output[0].file"),
        ({"type": "input_audio"}, "input[2].output[0].type"),
    ],
)
def test_one_that_cannot_be_used_is_refused_by_its_place(app, upstream, part, param):
    answer = ask(app, call("function_call"), result("function_call", part))

    assert (answer.status_code, answer.json["error"]["param"]) == (400, param), answer.text
    assert upstream.sent == []
