"""Batches of questions about images and of structured answers: the intake, what is sent, and the results."""

from __future__ import annotations

import base64
import json
from typing import ClassVar

import pytest

from tests.fakes.tables import each_row
from tests.fakes.upstreams.fake_batches import answer
from tests.fakes.upstreams.openai_answers import completion, error
from tests.fakes.wire.bodies import CALL, IMAGE_URL
from tests.media.images.pictures import encoded, exif, photo

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "size": {"type": "integer"}},
    "required": ["city"],
}


def data_url(content):
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def send(client, *items):
    return client.post("/api/batches", json={"requests": list(items)})


def results_of(client, made, upstream, time, *answers):
    upstream.end(*answers)
    time.move(60)
    return [
        (one["status"], one["body"]) for one in client.get(f"{made.headers['Location']}/results").json["results"]
    ]


def test_questions_about_images_are_prepared_and_answered_as_by_their_route(client, upstream, time):
    picture = encoded(photo(800, 800), "JPEG", exif=exif(6), quality=98)
    assert len(picture) > 65_536

    made = send(
        client,
        {"id": "a", "vision": {"prompt": "What?", "imageUrl": data_url(picture), "detail": "low", "maxTokens": 9}},
        {"id": "b", "vision": {"prompt": "Which?", "images": [IMAGE_URL, data_url(encoded(photo(), "PNG"))]}},
    )

    assert (made.status_code, made.json["kind"]) == (201, "vision"), made.text
    first, second = (request["body"] for request in upstream.requests())
    [text, image] = first["messages"][0]["content"]
    assert text == {"type": "text", "text": "What?"}
    assert image["image_url"]["detail"] == "low"
    assert len(image["image_url"]["url"]) < len(picture) / 2, "scaled to what is used"
    assert first["max_completion_tokens"] == 9
    assert [part["image_url"]["url"] for part in second["messages"][0]["content"][1:]] == [
        IMAGE_URL,
        data_url(encoded(photo(), "PNG")),
    ]
    (status, body), (failed, problem) = results_of(
        client, made, upstream, time, answer("A cat."), (400, error("no", code="invalid_image_url"))
    )
    assert (status, body["reply"]) == (200, "A cat.")
    assert (failed, problem["code"]) == (400, "invalid_image")


def test_structured_answers_are_checked_and_given_as_by_their_route(client, upstream, time):
    ask = {"prompt": "Where?", "schema": CITY, "normalize": True}
    receipt = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": IMAGE_URL}}]}

    made = send(
        client,
        {"structured": ask},
        {"structured": ask},
        {"structured": {"messages": [receipt], "schema": CITY, "normalize": True}},
        {"structured": {"prompt": "JSON?"}},
        {"structured": {"prompt": "Loose?", "schema": CITY, "strict": False}},
        {"structured": ask},
        {"structured": ask},
    )

    assert (made.status_code, made.json["kind"]) == (201, "structured"), made.text
    sent = [request["body"] for request in upstream.requests()]
    assert sent[0]["response_format"]["json_schema"]["schema"]["additionalProperties"] is False
    assert sent[2]["messages"][0]["content"][0]["image_url"]["url"] == IMAGE_URL
    assert sent[3]["response_format"] == {"type": "json_object"}
    results = results_of(
        client,
        made,
        upstream,
        time,
        answer(json.dumps({"city": "Oslo", "size": None})),
        answer(json.dumps({"city": "Oslo", "size": "large"})),
        answer(json.dumps({"city": "Bergen", "size": 3})),
        answer('{"any": 1}'),
        answer('{"city": "Oslo"}'),
        answer("no JSON"),
        completion(None, refusal="I will not."),
    )
    assert [status for status, _ in results] == [200, 422, 200, 200, 200, 422, 422]
    assert [body.get("data") for _, body in results] == [
        {"city": "Oslo"},
        None,
        {"city": "Bergen", "size": 3},
        {"any": 1},
        {"city": "Oslo"},
        None,
        None,
    ]
    assert [body.get("code") for _, body in results][1:] == [
        "refused",
        None,
        None,
        None,
        "refused",
        "refused",
    ]
    assert results[0][1]["normalized"]
    assert "normalized" not in results[4][1]


def test_formats_are_stored_once(client, rows):
    send(client, *[{"structured": {"prompt": str(n), "schema": CITY, "normalize": True}} for n in range(20)])

    [row] = rows("batches")
    assert row["requests"].count('additionalProperties\\":') == 1


@each_row(
    ("item", "where", "code"),
    [
        ({"vision": {"prompt": "Hi"}}, "requests.1.vision", "invalid_request"),
        (
            {"vision": {"prompt": "Hi", "imageUrl": data_url(b"x")}},
            "requests.1.vision.imageUrl: must be",
            "invalid_image",
        ),
        (
            {"vision": {"prompt": "Hi", "imageUrl": "https://10.0.0.1/x"}},
            "requests.1.vision.imageUrl: ",
            "invalid_image",
        ),
    ],
)
def test_what_its_route_refuses_is_refused_before_anything_is_sent(client, upstream, item, where, code):
    answer = send(client, {"vision": {"prompt": "Hi", "imageUrl": IMAGE_URL}}, item)

    assert (answer.status_code, answer.json["code"]) == (400, code)
    assert where in answer.json["error"]
    assert upstream.batches == []


@each_row(
    ("fields", "where", "code"),
    [
        (
            {"schema": {"type": "object", "properties": {"a": {"not": {}}}}},
            "requests.0.structured.schema: needs",
            "unsupported_schema",
        ),
        ({"schemaName": "none"}, "requests.0.structured.schemaName: there is no schema", "invalid_request"),
        (
            {"cache": True, "temperature": 0},
            "requests.0.structured.cache: not accepted in a batch.",
            "invalid_request",
        ),
        ({"model": "other"}, "requests.0.structured.model: ", "forbidden"),
    ],
)
def test_a_structured_request_that_cannot_be_sent_is_refused(client, upstream, fields, where, code):
    answer = send(client, {"structured": {"prompt": "Hi", **fields}})

    assert answer.json["code"] == code
    assert answer.json["error"].startswith(where), answer.json
    assert upstream.batches == []


def test_kinds_are_not_mixed(client, upstream):
    vision = {"vision": {"prompt": "Hi", "imageUrl": IMAGE_URL}}

    assert "must be of the kind vision" in send(client, vision, {"chat": {"message": "Hi"}}).json["error"]
    assert "give only one of chat, vision" in send(client, vision | {"chat": {"message": "Hi"}}).json["error"]
    assert "Missing requests.0.chat (or embeddings, vision, structured)." in send(client, {}).json["error"]


def test_images_in_batches_of_chats_are_prepared_too(client, upstream):
    part = {"type": "image_url", "image_url": {"url": data_url(encoded(photo(), "PNG", pnginfo=None))}}
    content = [{"type": "text", "text": "What?"}, part]

    assert send(client, {"chat": {"messages": [{"role": "user", "content": content}]}}).status_code == 201
    bad = {"type": "image_url", "image_url": {"url": "http://example.com/a.png"}}
    refused = send(client, {"chat": {"messages": [{"role": "user", "content": [bad]}]}})
    assert refused.json["error"].startswith(
        "requests.0.chat.messages.0.content.0.image_url: must be a public https://"
    )


def test_large_images_do_not_count_towards_the_size_of_a_request(start, upstream):
    client = start(max_json_bytes=3_000, max_body_bytes=2_000_000).test_client()
    picture = data_url(encoded(photo(800, 800), "JPEG", quality=98))
    assert len(picture) > 65_536
    items = [{"vision": {"prompt": "x" * 100, "imageUrl": picture}}] * 3

    assert send(client, *items).status_code == 201
    assert send(client, *items, {"vision": {"prompt": "x" * 3_000, "imageUrl": picture}}).status_code == 400
    # A long text that begins like an image is still a text.
    assert send(client, {"embeddings": {"input": picture[:2_000]}}).status_code == 201
    assert send(client, {"embeddings": {"input": picture}}).status_code == 400


def test_each_kind_takes_its_scope(app, upstream):
    keys = app.extensions["gatehouse"].authenticator.keys

    def send_with(*scopes, item):
        key = keys.create(tenant="default", name="some", scopes=set(scopes)).text
        headers = {"Authorization": f"Bearer {key}"}
        return app.test_client().post("/api/batches", json={"requests": [item]}, headers=headers).status_code

    image = {"type": "image_url", "image_url": {"url": IMAGE_URL}}
    chat = {"chat": {"messages": [{"role": "user", "content": [image]}]}}
    assert send_with("chat", item=chat) == 403
    assert send_with("chat", "vision", item=chat) == 201
    assert send_with("chat", item={"vision": {"prompt": "Hi", "imageUrl": IMAGE_URL}}) == 403
    assert send_with("vision", item={"vision": {"prompt": "Hi", "imageUrl": IMAGE_URL}}) == 201
    assert send_with("chat", item={"structured": {"prompt": "Hi"}}) == 403
    assert send_with("structured", item={"structured": {"prompt": "Hi"}}) == 201


class Anna:
    tenant, user, is_named = "default", "anna", True


class TestReasoning:
    """What a model reasoned before it called a page's tool comes back in a batch as in a chat."""

    THOUGHT: ClassVar = {
        "model": "gpt-6.1-terra",
        "at": 0,
        "item": {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"},
    }

    def send(self, client, kind, sealed, user="anna"):
        turn = {"role": "assistant", "toolCalls": [CALL], "reasoning": sealed}
        result = {"role": "tool", "toolCallId": "call_1", "content": "rain"}
        messages = [{"role": "user", "content": "Hi json"}, turn, result]
        body = {"requests": [{kind: {"messages": messages}}]}
        return client.post("/api/batches", json=body, headers={"X-User-Id": user})

    @pytest.mark.parametrize("kind", ["chat", "structured"])
    @pytest.mark.parametrize("api", ["responses", "chat"])
    def test_it_is_sent_where_it_can_be_read(self, start, upstream, kind, api):
        client = start(upstream_api=api).test_client()
        sealed = client.application.extensions["gatehouse"].reasoning_seals.seal([self.THOUGHT], Anna)

        assert self.send(client, kind, sealed).status_code == 201
        body = upstream.requests()[0]["body"]
        if api == "responses":
            assert [item.get("type") for item in body["input"]][1:3] == ["reasoning", "function_call"]
        else:
            assert "reasoning" not in json.dumps(body["messages"])

    @pytest.mark.parametrize("kind", ["chat", "structured"])
    def test_what_is_made_up_or_anothers_is_refused(self, client, upstream, kind):
        sealed = client.application.extensions["gatehouse"].reasoning_seals.seal([self.THOUGHT], Anna)

        for refused in (self.send(client, kind, "r1.AAAA"), self.send(client, kind, sealed, user="bob")):
            assert refused.status_code == 400
            assert refused.json["error"].startswith(f"requests.0.{kind}.messages.1.reasoning: ")
        assert upstream.asked == []
