"""What real clients put into a message besides text, on every route that takes a conversation."""

from __future__ import annotations

import base64

import httpx2
import pytest

from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import completion, sse, stream_of
from tests.fakes.wire.bodies import IMAGE_URL, refusal_of
from tests.fakes.wire.reading import events_of
from tests.media.images.pictures import encoded, exif, photo

pytestmark = pytest.mark.usefixtures("kept_side_processes")

STRUCTURED = ["/api/structured", "/api/structured/stream"]
ROUTES = ["/api/chat", "/api/chat/stream", "/api/chat/openai", *STRUCTURED]
TEXT = {"type": "text", "text": "What is it?"}
IMAGE = {"type": "image_url", "image_url": {"url": IMAGE_URL}}


def data_url(content, declared="image/png"):
    return f"data:{declared};base64,{base64.b64encode(content).decode()}"


def body_of(route, *parts, messages=None):
    messages = messages or [{"role": "user", "content": list(parts)}]
    return {"messages": messages} | ({"chatSettings": {}} if route == "/api/chat/openai" else {})


def sent_content(upstream):
    return upstream.sent[-1].body["messages"][-1]["content"]


@pytest.fixture
def upstream(upstream):
    """Answers every route with something that is complete, and valid for it."""

    def answer(sent):
        if sent.body.get("stream"):
            return upstream.event_stream([sse(payload) for payload in stream_of("{}")])
        return httpx2.Response(200, json=completion("{}"))

    upstream.otherwise = answer
    return upstream


@each_row("route", ROUTES)
@each_row(
    "given",
    [
        IMAGE,
        {"type": "image_url", "image_url": {"url": IMAGE_URL, "detail": None}},
        {"type": "image_url", "image_url": IMAGE_URL},
        {"type": "input_image", "image_url": IMAGE_URL},
        {"type": "input_image", "image_url": IMAGE_URL, "detail": "auto", "file_id": None},
    ],
    ids=["chat", "null", "plain", "responses", "whole"],
)
def test_every_spelling_of_an_image_arrives_in_the_form_of_chat(client, upstream, route, given):
    upstream.clear()

    client.post(route, json=body_of(route, TEXT, given)).get_data()

    assert sent_content(upstream) == [
        TEXT,
        {"type": "image_url", "image_url": {"url": IMAGE_URL, "detail": "auto"}},
    ]
    assert upstream.sent[-1].body["model"] == "gpt-6.1-terra"


@each_row("route", ROUTES)
def test_text_parts_alone_are_one_text(client, upstream, route):
    upstream.clear()

    client.post(route, json=body_of(route, TEXT, {"type": "input_text", "text": "JSON"})).get_data()

    assert sent_content(upstream) == "What is it?\n\nJSON"


@each_row("route", ROUTES)
def test_an_image_is_prepared_as_in_vision(client, upstream, route):
    upstream.clear()
    picture = encoded(photo(3000, 20), "JPEG", exif=exif(6))

    client.post(
        route, json=body_of(route, {"type": "image_url", "image_url": {"url": data_url(picture), "detail": "low"}})
    )
    client.post("/api/vision", json={"prompt": "Hi", "imageUrl": data_url(picture), "detail": "low"})

    assert sent_content(upstream)[1] in upstream.sent[0].body["messages"][-1]["content"]


def test_blank_texts_beside_an_image_are_left_out(client, upstream):
    client.post("/api/chat", json=body_of("/api/chat", {"type": "text", "text": " "}, IMAGE))

    assert [part["type"] for part in sent_content(upstream)] == ["image_url"]


@each_row("route", ROUTES)
def test_images_of_earlier_turns_are_sent_with_their_details(client, upstream, route):
    upstream.clear()
    first = {"type": "image_url", "image_url": {"url": IMAGE_URL, "detail": "low"}}
    turns = [
        {"role": "user", "content": [TEXT, first]},
        {"role": "assistant", "content": "A cat."},
        {"role": "user", "content": "JSON: and its colour?"},
    ]

    client.post(route, json=body_of(route, messages=turns)).get_data()

    assert upstream.sent[-1].body["messages"] == turns


@pytest.fixture
def brief(make_app):
    """Asks an application that takes little JSON."""
    return make_app(max_json_bytes=2_000, max_body_bytes=1_000_000).test_client()


@pytest.fixture(scope="module")
def picture():
    """An image that is larger than the JSON that is taken."""
    return encoded(photo(300, 300), "PNG", compress_level=0)


@each_row("route", ROUTES)
def test_large_images_do_not_count_towards_the_size_of_the_json(brief, upstream, picture, route):
    client = brief
    assert len(picture) > 70_000
    part = {"type": "image_url", "image_url": {"url": data_url(picture)}}

    assert client.post(route, json=body_of(route, part, part)).status_code == 200
    assert [part["image_url"]["url"] for part in sent_content(upstream)] == [data_url(picture)] * 2
    assert client.post(route, json=body_of(route, part, {"type": "text", "text": "x" * 2_000})).status_code == 413
    assert client.post(route, json=body_of(route, {"type": "text", "text": data_url(picture)})).status_code == 413


@each_row("route", ROUTES)
@each_row(
    ("parts", "sentence"),
    [
        ([], "messages.0.content: "),
        ([{"type": "text", "text": ""}], "messages.0.content: must not be empty."),
        (
            [{"type": "audio", "x": 1}],
            "messages.0.content.0.type: audio is not accepted; it must be text, image_url or file.",
        ),
        ([{"type": "CAN ARY"}], "messages.0.content.0.type: it must be text, image_url or file."),
        ([{"text": "Hi"}], "Missing messages.0.content.0.type."),
        ([TEXT, {"type": "text"}], "Missing messages.0.content.1.text."),
        ([{**TEXT, "more": 1}], "Unknown field messages.0.content.0.more."),
        ([{"type": "image_url"}], "Missing messages.0.content.0.image_url."),
        ([{"type": "image_url", "image_url": {}}], "Missing messages.0.content.0.image_url.url."),
        (
            [{"type": "image_url", "image_url": {"url": IMAGE_URL, "detail": "huge"}}],
            "messages.0.content.0.image_url.detail: should be 'low', 'high', 'auto' or 'original'.",
        ),
        ([{"type": "input_image", "file_id": "file-1"}], "messages.0.content.0: file_id is not accepted; "),
        ([{"type": "input_image"}], "messages.0.content.0: image_url is missing."),
        ([TEXT] * 201, "messages.0.content: "),
        ([IMAGE] * 51, "messages: must have at most 50 images and files in all."),
        (["Hi"], "messages.0.content.0: "),
    ],
)
def test_wrong_parts_are_refused_and_named(client, upstream, route, parts, sentence):
    assert refusal_of(
        client.post(
            route,
            json=body_of(route, *parts) if parts else body_of(route, messages=[{"role": "user", "content": []}]),
        )
    ).startswith(sentence)
    assert upstream.sent == []


@each_row("route", ROUTES)
@each_row(
    "url",
    [
        "http://example.com/a.png",
        "https://10.0.0.1/a.png",
        "data:image/png;base64,!!!!",
        data_url(b"%PDF-1.7"),
        "file:///x",
    ],
)
def test_an_image_that_vision_refuses_is_refused_and_named(client, upstream, route, url):
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": [TEXT, {"type": "image_url", "image_url": {"url": url}}]},
    ]

    answer = client.post(route, json=body_of(route, messages=turns))

    assert answer.status_code == 400
    assert "messages.2.content.1.image_url: " in answer.get_data(as_text=True)
    assert upstream.sent == []


@each_row("role", ["assistant", "system", "tool"])
@each_row("parts", [[IMAGE], [TEXT, IMAGE], [], [{"type": "audio"}]])
def test_only_the_user_may_send_images(client, upstream, role, parts):
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "toolCalls": [call]}]
    turn = {"role": role, "content": parts} | ({"toolCallId": "call_1"} if role == "tool" else {})

    sentence = refusal_of(client.post("/api/chat", json={"messages": [*turns, turn]}))

    assert sentence == "messages.2.content: must be a text, or a list of text parts."
    assert upstream.sent == []


@each_row("role", ["assistant", "system", "tool"])
def test_text_parts_of_others_are_one_text(client, upstream, role):
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "toolCalls": [call]}]
    parts = [TEXT, {"type": "output_text", "text": "Yes."}, {"type": "refusal", "refusal": "No."}]
    turn = {"role": role, "content": parts} | ({"toolCallId": "call_1"} if role == "tool" else {})

    assert client.post("/api/chat", json={"messages": [*turns, turn]}).status_code == 200
    assert "What is it?\n\nYes.\n\nNo." in [message["content"] for message in upstream.sent[-1].body["messages"]]


@pytest.fixture
def without_vision(make_app):
    """Asks an application whose visitors may send no images."""
    return make_app(auth_required=False, anonymous_scopes=("chat", "structured")).test_client()


@each_row("route", ROUTES)
def test_images_take_the_scope_vision(without_vision, upstream, route):
    upstream.clear()

    answer = without_vision.post(route, json=body_of(route, IMAGE))

    assert answer.status_code == 401
    assert without_vision.post(route, json=body_of(route, TEXT)).status_code == 200
    assert len(upstream.sent) == 1


def test_a_stream_about_an_image_is_a_stream(client):
    events = events_of(client.post("/api/chat/stream", json=body_of("/api/chat/stream", TEXT, IMAGE)).data)

    assert events[-1]["done"]


def test_an_answer_about_an_image_in_json_mode_is_told_to_be_json(client, upstream):
    client.post("/api/structured", json=body_of("/api/structured", TEXT, IMAGE))

    first, second = upstream.sent[-1].body["messages"]
    assert (first["role"], second["content"][0]) == ("system", TEXT)
