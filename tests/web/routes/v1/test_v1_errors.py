"""Errors below /v1: OpenAI's object, so that its own client raises the right class, and tries again only where that helps."""

from __future__ import annotations

import httpx2
import openai
import pytest

from tests.conftest import ORIGIN
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import error

ASKED = {"model": "gpt-6.1-terra", "messages": [{"role": "user", "content": "Hi"}]}


def caught_from(sdk, kind, **fields):
    with pytest.raises(kind) as caught:
        sdk.chat.completions.create(**{**ASKED, **fields})
    assert type(caught.value) is kind
    assert caught.value.body.keys() == {"message", "type", "param", "code"}
    assert caught.value.request_id
    return caught.value


def test_a_wrong_key_is_an_authentication_error(site, connect, upstream):
    for credential in ("gh_wrong", "sk-other", "anonymous"):
        found = caught_from(connect(site.app, credential), openai.AuthenticationError)
        assert (found.type, found.code, found.param) == ("authentication_error", "unauthenticated", None)
    assert upstream.sent == []


def test_a_key_and_a_visitors_token_are_taken_as_api_key(site, connect):
    for credential in (site.key, site.token()):
        answer = connect(site.app, credential).chat.completions.create(**ASKED)
        assert answer.choices[0].message.content == "Hello there"


def test_a_key_of_another_scope_is_a_permission_error(site, connect):
    found = caught_from(connect(site.app, site.new_key("usage")), openai.PermissionDeniedError)

    assert (found.type, found.code) == ("permission_error", "forbidden")


def test_a_model_that_is_not_offered_has_openais_code(sdk, upstream):
    found = caught_from(sdk, openai.PermissionDeniedError, model="gpt-9")

    assert (found.param, found.code) == ("model", "model_not_found")
    assert upstream.sent == []


def test_an_url_that_does_not_exist_is_not_found(sdk):
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.post("/chat/nothing", body={}, cast_to=object)

    assert (caught.value.type, caught.value.code) == ("invalid_request_error", "not_found")


def test_what_the_model_refuses_is_a_bad_request(sdk, upstream):
    upstream.answers(error(code="invalid_value", param="max_completion_tokens", kind="invalid_request_error"), 400)

    found = caught_from(sdk, openai.BadRequestError)

    assert (found.param, found.code) == ("max_tokens", "invalid_request")
    assert found.body["message"] == "max_tokens: the model does not accept this value (invalid_value)."


def test_the_content_filter_is_an_unprocessable_entity(sdk, upstream):
    upstream.answers(error(code="content_filter"), 400)

    assert caught_from(sdk, openai.UnprocessableEntityError).code == "content_filter"


def test_a_rate_limit_is_waited_for_as_long_as_it_says(make_app, connect, sdk_waits, clock):
    app = make_app(rate_limit="1/minute", secret_key="s" * 40)
    connect(app).chat.completions.create(**ASKED)

    found = caught_from(connect(app, max_retries=1), openai.RateLimitError)

    assert (found.type, found.code) == ("rate_limit_error", "rate_limited")
    [waited] = sdk_waits
    assert waited == pytest.approx(float(found.response.headers["Retry-After"]), abs=1)
    assert waited > 30


def test_a_budget_that_is_used_up_is_not_tried_again(make_app, connect, sdk_waits):
    app = make_app(user_budget_tokens=1)

    found = caught_from(connect(app, max_retries=2), openai.RateLimitError)

    assert (found.type, found.code) == ("insufficient_quota", "budget_exceeded")
    assert sdk_waits == []


@each_row(
    ("status", "kind"), [(500, "server_error"), (401, "invalid_request_error"), (404, "invalid_request_error")]
)
@pytest.mark.chat_form
def test_a_failure_after_our_own_attempts_is_not_tried_again(make_app, connect, upstream, sdk_waits, status, kind):
    app = make_app(chat_fallback_models=(), breaker_failures=100)
    upstream.otherwise = lambda sent: httpx2.Response(status, json=error(kind=kind))

    found = caught_from(connect(app, max_retries=2), openai.InternalServerError)

    assert (found.status_code, found.type, found.code) == (502, "api_error", "upstream_failed")
    assert found.response.headers["X-Should-Retry"] == "false"
    assert len(upstream.sent) == (3 if status == 500 else 1)
    assert sdk_waits == []


@pytest.mark.one_attempt
def test_a_busy_model_may_be_asked_again(make_app, connect, upstream, sdk_waits):
    upstream.answers(error(), 429, {"Retry-After": "2"})

    answer = connect(make_app(), max_retries=1).chat.completions.create(**ASKED)

    assert answer.choices[0].message.content == "Hello there"
    assert sdk_waits == [2.0]


@pytest.mark.one_attempt
@pytest.mark.parametrize("route", ["/api/chat", "/v1/chat/completions"])
def test_a_final_refusal_tells_every_client_so(client, upstream, route):
    body = {"message": "Hi"} if route == "/api/chat" else ASKED
    upstream.answers(error(), 500)
    upstream.answers(error(), 429)

    failed, busy = (client.post(route, json=body) for _ in range(2))

    assert (failed.status_code, failed.headers.get("X-Should-Retry")) == (502, "false")
    assert (busy.status_code, busy.headers.get("X-Should-Retry")) == (503, None)


def test_what_is_refused_before_a_route_is_chosen_has_the_form_of_its_prefix(make_app):
    client = make_app(max_json_bytes=100).test_client()
    chat = "/v1/chat/completions"
    foreign = {"Origin": "https://evil.example"}
    answers = [
        (client.get("/v1"), 404, "not_found"),
        (client.get("/v1/nothing"), 404, "not_found"),
        (client.post("/v1/chat/completions/", json=ASKED), 404, "not_found"),
        (client.get(chat), 405, "method_not_allowed"),
        (client.post(chat, data=b"{}", content_type="text/plain"), 415, "unsupported_media_type"),
        (client.post(chat, data=b" " * 101, content_type="application/json"), 413, "body_too_large"),
        (client.post(chat, data=b"{", content_type="application/json"), 400, "invalid_request"),
        (client.post(chat, json=[]), 400, "invalid_request"),
        (client.post(chat, json=ASKED, headers=foreign), 403, "origin_not_allowed"),
        (client.post("/v1/nothing", json={}, headers=foreign), 403, "origin_not_allowed"),
        (client.get("/v1/models", headers={"Host": "rebound.example"}), 421, "host_not_trusted"),
    ]
    for answer, status, code in answers:
        assert answer.status_code == status, answer.text
        assert answer.json.keys() == {"error"}
        assert answer.json["error"]["code"] == code
        assert answer.json["error"].keys() == {"message", "type", "param", "code"}
        assert answer.headers["X-Request-ID"]
    assert client.get("/api/nothing").json["code"] == "not_found"


def test_the_word_anonymous_gives_no_more_than_no_credential(make_app):
    client = make_app().test_client()
    named = {"Authorization": "Bearer anonymous"}

    assert client.get("/v1/models", headers=named).status_code == 200
    assert client.get("/v1/models", headers={**named, "Host": "rebound.example"}).status_code == 421
    assert client.get("/v1/models", headers={"Authorization": "Bearer anything"}).status_code == 401


def test_a_server_that_stops_says_so_in_openais_form(app, client):
    app.extensions["gatehouse"].lifecycle.watch(lambda: False, graceful_timeout_s=30)

    answer = client.post("/v1/chat/completions", json=ASKED)

    assert (answer.status_code, answer.json["error"]["code"]) == (503, "draining")
    assert answer.headers["Retry-After"]
    assert "X-Should-Retry" not in answer.headers


@pytest.mark.parametrize("text", [b"NaN", b'"\\ud83d"', b'"a\\u0000"'])
def test_what_is_no_text_is_named_as_a_parameter(client, text):
    body = b'{"messages":[{"role":"user","content":%b}]}' % text

    answer = client.post("/v1/chat/completions", data=body, content_type="application/json")

    assert (answer.status_code, answer.json["error"]["param"]) == (400, "messages[0].content")


def test_a_body_that_is_no_object_has_no_parameter(client):
    answer = client.post("/v1/chat/completions", data=b"NaN", content_type="application/json")

    assert (answer.status_code, answer.json["error"]["param"]) == (400, None)


def test_a_bug_shows_nothing_of_itself(app, client, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("CANARY")

    monkeypatch.setattr(app.extensions["gatehouse"].openai_service, "chat", fail)

    answer = client.post("/v1/chat/completions", json=ASKED)

    assert answer.status_code == 500
    assert answer.json["error"]["type"] == "api_error"
    assert "CANARY" not in answer.text


def test_an_error_can_be_read_by_a_page(make_app):
    client = make_app().test_client()

    answer = client.post("/v1/chat/completions", json={}, headers={"Origin": ORIGIN})

    assert answer.status_code == 400
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "X-Should-Retry" in answer.headers["Access-Control-Expose-Headers"]
