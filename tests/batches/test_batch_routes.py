"""What /api/batches takes, says and gives back, and to whom."""

from __future__ import annotations

import base64
import hmac
import json
import re
import threading

import httpx2
import pytest

from app.runtime import clock as app_clock
from app.storage.shared_state.replays.answer_log import ALIVE_S
from tests.batches.conftest import chats
from tests.fakes.site import bearer
from tests.fakes.tables import crossed, each_row
from tests.fakes.upstreams.fake_batches import answer
from tests.fakes.upstreams.openai_answers import embeddings, error
from tests.fakes.upstreams.responses_form import function_call, message, reasoning, response
from tests.fakes.wire.bodies import CALL, TOOL, conversation_of

ID = re.compile(r"batch_[0-9a-f]{28}")


def test_a_batch_of_chats_goes_from_submission_to_results(client, upstream, time):
    body = {
        "requests": [
            {"id": "first", "chat": {"message": "One", "maxTokens": 50, "verbosity": "low"}},
            {"chat": {"messages": [{"role": "user", "content": "Two"}]}},
        ]
    }

    made = client.post("/api/batches", json=body)

    assert made.status_code == 201, made.text
    assert ID.fullmatch(made.json["id"])
    assert made.headers["Location"] == f"/api/batches/{made.json['id']}"
    assert made.json == {
        "id": made.json["id"],
        "kind": "chat",
        "model": "gpt-6.1-terra",
        "status": "in_progress",
        "createdAt": "2026-11-20T12:00:00Z",
        "endedAt": None,
        "counts": {"total": 2, "completed": 0, "failed": 0},
        "costMicroUsd": None,
    }
    assert upstream.only["endpoint"] == "/v1/chat/completions"
    assert upstream.only["metadata"] == {"gatehouse_batch": made.json["id"]}
    assert upstream.names == [f"{made.json['id']}.jsonl"]
    assert [line | {"body": conversation_of(line["body"])} for line in upstream.requests()] == [
        {
            "custom_id": "request-0",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {
                "model": "gpt-6.1-terra",
                "messages": [{"role": "user", "content": "One"}],
                "max_completion_tokens": 50,
                "verbosity": "low",
            },
        },
        {
            "custom_id": "request-1",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {
                "model": "gpt-6.1-terra",
                "messages": [{"role": "user", "content": "Two"}],
                "max_completion_tokens": 8192,
            },
        },
    ]

    address = made.headers["Location"]
    early = client.get(f"{address}/results")
    assert (early.status_code, early.json["code"], early.headers["Retry-After"]) == (409, "batch_not_ended", "5")

    upstream.end(answer("1", prompt=10, completion_tokens=4), answer("2", prompt=20, completion_tokens=6))
    time.move(3_600)
    shown = client.get(address)

    assert shown.json | {"id": 0} == made.json | {
        "id": 0,
        "status": "completed",
        "endedAt": "2026-11-20T13:00:00Z",
        "counts": {"total": 2, "completed": 2, "failed": 0},
        "costMicroUsd": 40,
    }
    results = client.get(f"{address}/results")
    assert results.content_type == "application/json"
    assert results.headers["Cache-Control"] == "no-store"
    first, second = results.json["results"]
    assert (first["id"], first["status"], second["id"], second["status"]) == ("first", 200, "1", 200)
    assert first["body"]["reply"] == "1"
    assert first["body"].keys() == {"reply", "finishReason", "usage", "model", "id"}
    assert second["body"]["usage"]["prompt_tokens"] == 20


def test_a_batch_with_tools_goes_to_the_endpoint_that_takes_them(client, upstream, time):
    body = {
        "requests": [{"chat": {"message": "One", "tools": [TOOL], "maxTokens": 5}}, {"chat": {"message": "Two"}}]
    }

    made = client.post("/api/batches", json=body)

    assert made.headers["X-Params-Adjusted"] == "maxTokens=16"
    assert upstream.only["endpoint"] == "/v1/responses"
    first, second = upstream.requests()
    assert (first["url"], second["url"]) == ("/v1/responses", "/v1/responses")
    assert first["body"]["tools"][0]["name"] == "get_weather"
    assert [line["body"]["max_output_tokens"] for line in (first, second)] == [16, 8192]
    assert second["body"]["input"] == [{"role": "user", "content": "Two"}]

    upstream.end(
        response("completed", reasoning(), function_call("call_1", "get_weather")),
        response("incomplete", message("Tw"), incomplete_details={"reason": "max_output_tokens"}),
    )
    time.move(3_600)
    address = made.headers["Location"]
    assert client.get(address).json["costMicroUsd"] == 24
    called, cut = client.get(f"{address}/results").json["results"]
    assert called["body"]["toolCalls"] == [CALL]
    assert (cut["body"]["reply"], cut["body"]["finishReason"]) == ("Tw", "length")
    assert cut["body"]["usage"]["prompt_tokens"] == 9
    assert client.get(f"{address}/results").json["results"] == [called, cut]


def test_a_batch_of_embeddings(client, upstream, time):
    body = {"requests": [{"embeddings": {"input": ["a", "b"], "dimensions": 2}}, {"embeddings": {"input": "c"}}]}

    made = client.post("/api/batches", json=body)

    assert (made.status_code, made.json["kind"], made.json["model"]) == (
        201,
        "embeddings",
        "text-embedding-3-small",
    )
    assert upstream.only["endpoint"] == "/v1/embeddings"
    assert upstream.requests()[0]["body"] == {
        "model": "text-embedding-3-small",
        "input": ["a", "b"],
        "encoding_format": "float",
        "dimensions": 2,
    }
    upstream.end(embeddings([[0.25, 1.5], [1e-7, -2.0]]), embeddings([[0.5]]))
    time.move(10)
    results = client.get(f"/api/batches/{made.json['id']}/results").json["results"]
    assert [result["body"]["embeddings"] for result in results] == [[[0.25, 1.5], [1e-7, -2.0]], [[0.5]]]
    assert client.get(made.headers["Location"]).json["costMicroUsd"] == 1  # 10 tokens of 0.01


@pytest.fixture
def small_client(start):
    """Of a site whose batches are small, so that a few bytes are a large one."""
    return start(max_batch_requests=3, max_json_bytes=500).test_client()


@each_row(
    ("requests", "status", "sentence"),
    [
        ([], 400, "requests: list should have at least 1 item, not 0."),
        ([{}], 400, "Missing requests.0.chat (or embeddings, vision, structured)."),
        (
            [{"chat": {"message": "a"}, "embeddings": {"input": "b"}}],
            400,
            "requests.0: give only one of chat, embeddings.",
        ),
        (
            [{"chat": {"message": "a"}}, {"embeddings": {"input": "b"}}],
            400,
            "requests.1: must be of the kind chat, as the first request of the batch.",
        ),
        (
            [{"chat": {"message": "a"}}, {"chat": {"message": "a", "temperature": 3}}],
            400,
            "requests.1.chat.temperature: should be less than or equal to 2.",
        ),
        ([{"chat": {"message": "a", "loud": 1}}], 400, "Unknown field requests.0.chat.loud."),
        ([{"chat": {}}], 400, "Missing requests.0.chat.userMessage (or message, or messages)."),
        ([{"chat": {"message": "a", "toolChoice": "auto"}}], 400, "requests.0.chat.toolChoice: needs tools."),
        (
            [{"chat": {"message": "a", "userMessage": "b"}}],
            400,
            "requests.0.chat: Give only one of messages, message and userMessage.",
        ),
        ([{"chat": {"messages": [{"role": "user"}]}}], 400, "Missing requests.0.chat.messages.0.content."),
        (
            [{"embeddings": {"input": "a", "dimensions": 0}}],
            400,
            "requests.0.embeddings.dimensions: should be greater than or equal to 1.",
        ),
        (
            [{"id": "no spaces", "chat": {"message": "a"}}],
            400,
            "requests.0.id: must be 1 to 64 letters, digits, underscores or hyphens.",
        ),
        (
            [{"id": "x", "chat": {"message": "a"}}, {"id": "x", "chat": {"message": "b"}}],
            400,
            "requests.1.id: requests.0 has the same id.",
        ),
        (
            [{"id": "1", "chat": {"message": "a"}}, {"chat": {"message": "b"}}],
            400,
            "requests.1.id: requests.0 has the same id.",
        ),
        (
            [{"chat": {"message": "a"}}, {"chat": {"message": "a", "model": "gpt-6-luna"}}],
            400,
            "requests.1.chat.model: must be the same for all requests of a batch.",
        ),
        (
            [{"chat": {"message": "a", "model": "gpt-9"}}],
            403,
            "requests.0.chat.model: this model is not offered here.",
        ),
        ([{"chat": {"message": "a"}}] * 4, 400, "requests: must have at most 3 requests."),
    ],
)
@each_row("padding", ["", " " * 600], quickly=lambda padding: not padding)
def test_what_is_off_is_named(small_client, upstream, rows, requests, status, sentence, *, padding):
    body = json.dumps({"requests": requests}) + padding

    refused = small_client.post("/api/batches", data=body, content_type="application/json")

    assert (refused.status_code, refused.json["error"]) == (status, sentence)
    assert upstream.asked == []
    assert rows("entries") == rows("batches") == []


LARGE = {"chat": {"message": 'a "]}{[, \\" b' * 40}}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (json.dumps({"requests": [LARGE] * 3}), ""),
        (json.dumps({"requests": [LARGE] * 3}, indent=2), ""),
        (
            json.dumps({"requests": [LARGE] * 3, "b": 1}),
            "A body of this size must have the one field requests, a list.",
        ),
        (json.dumps({"b": [LARGE] * 3}), "A body of this size must have the one field requests, a list."),
        (
            json.dumps({"requests": [LARGE] * 3}) + "}",
            "A body of this size must have the one field requests, a list.",
        ),
        (
            json.dumps({"requests": [LARGE] * 3})[:-2],
            "requests.2: must be complete, and have at most 1,000 bytes.",
        ),
        (json.dumps({"requests": [LARGE, 5, LARGE]}), "requests.1: The body must be a JSON object."),
        (
            json.dumps({"requests": [LARGE, LARGE, {"chat": {"message": "x" * 1_000}}]}),
            "requests.2: must be complete, and have at most 1,000 bytes.",
        ),
        (
            json.dumps({"requests": [LARGE, LARGE]}).replace("}}, {", "}}}, {"),
            "A body of this size must have the one field requests, a list.",
        ),
        (
            json.dumps({"requests": [LARGE, LARGE]})[:-2] + ",]}",
            "requests.2: The body is not valid JSON in UTF-8, or is nested too deeply.",
        ),
    ],
)
def test_a_large_batch_is_read_request_by_request(start, upstream, body, sentence):
    client = start(max_json_bytes=1_000).test_client()
    assert len(body) > 1_000

    answer = client.post("/api/batches", data=body, content_type="application/json")

    assert (answer.status_code, answer.json.get("error", "")) == (400 if sentence else 201, sentence)
    if not sentence:
        assert [line["body"]["messages"][0]["content"] for line in upstream.requests()] == [
            LARGE["chat"]["message"]
        ] * 3


def test_the_sites_own_prompt_goes_before_each_request_and_may_be_the_only_one(start, upstream):
    client = start(system_prompt="Be brief.", allow_client_system_prompt=False).test_client()

    assert client.post("/api/batches", json=chats("Hi", "Ho")).status_code == 201
    refused = client.post("/api/batches", json=chats("Hi", systemPrompt="Be rude."))

    assert [request["body"]["messages"][0] for request in upstream.requests()] == [
        {"role": "system", "content": "Be brief."}
    ] * 2
    assert (refused.status_code, refused.json["error"]) == (
        400,
        "requests.0.chat.systemPrompt: not accepted here.",
    )


def test_more_tokens_than_the_ceiling_are_lowered_and_that_is_said(client, upstream):
    made = client.post("/api/batches", json=chats("Hi", maxTokens=9_000))

    assert made.headers["X-Params-Adjusted"] == "maxTokens=8192"
    assert upstream.requests()[0]["body"]["max_completion_tokens"] == 8192


def test_a_batch_takes_the_parameters_of_a_chat_but_a_service_tier(start, upstream):
    client = start(chat_model="owner-model", chat_fallback_models=(), service_tier="priority").test_client()

    fields = {"reasoningEffort": "low", "verbosity": "low", "stop": "END", "topP": 0.5, "seed": 1, "n": 1}
    made = client.post("/api/batches", json=chats("Hi", serviceTier="flex", **fields))

    assert made.status_code == 201, made.text
    assert made.headers["X-Params-Adjusted"] == "serviceTier=dropped"
    body = upstream.requests()[0]["body"]
    sent = {"reasoning_effort": "low", "verbosity": "low", "stop": "END", "top_p": 0.5, "seed": 1}
    assert {name: body.get(name) for name in sent} == sent
    assert not body.keys() & {"service_tier", "n"}


def test_openais_name_of_a_field_is_answered_with_ours(client):
    refused = client.post("/api/batches", json=chats("Hi", max_tokens=5))

    assert refused.status_code == 400
    assert refused.json["error"] == "Unknown field requests.0.chat.max_tokens: did you mean maxTokens?"


def test_what_would_be_too_large_a_file_is_refused(start, upstream, rows):
    client = start(system_prompt="x" * 10_000, max_body_bytes=50_000).test_client()

    refused = client.post("/api/batches", json=chats(*["Hi"] * 6))

    assert (refused.status_code, refused.json["code"]) == (413, "body_too_large")
    assert upstream.asked == [] == rows("entries")


def test_each_request_has_a_result_of_its_own_whatever_became_of_it(client, upstream, time):
    made = client.post("/api/batches", json=chats("a", "b", "c", "d", "e"))
    temperature = error("secret words", param="temperature", code="unsupported_value")
    upstream.end(answer("A"), (400, temperature), (429, error("slow")), (500, error("oops")), {"no": "completion"})
    time.move(10)

    results = client.get(f"{made.headers['Location']}/results")

    assert [(result["id"], result["status"]) for result in results.json["results"]] == [
        ("0", 200),
        ("1", 400),
        ("2", 503),
        ("3", 502),
        ("4", 502),
    ]
    assert results.json["results"][1]["body"] == {
        "error": "temperature: the model does not accept this value (unsupported_value).",
        "code": "invalid_request",
        "requestId": results.headers["X-Request-ID"],
    }
    assert "secret" not in results.text
    # The last one was answered, if not in a way that can be read: it counts, and costs.
    assert client.get(made.headers["Location"]).json["counts"] == {"total": 5, "completed": 2, "failed": 3}


@pytest.mark.parametrize(
    ("status", "code", "number"), [("cancelled", "cancelled", 499), ("expired", "upstream_timeout", 504)]
)
def test_requests_that_were_not_come_to_say_why(client, upstream, time, status, code, number):
    made = client.post("/api/batches", json=chats("a", "b", "c"))
    # Of the last one there is no line at all.
    upstream.end(answer("A"), None, status=status)
    time.move(10)

    results = client.get(f"{made.headers['Location']}/results").json["results"]

    assert results[0]["status"] == 200
    assert [(result["status"], result["body"]["code"]) for result in results[1:]] == [(number, code)] * 2
    shown = client.get(made.headers["Location"]).json
    assert (shown["status"], shown["counts"]) == (status, {"total": 3, "completed": 1, "failed": 2})


def test_cancelling_asks_the_upstream_and_keeps_what_is_done(client, upstream, time):
    address = client.post("/api/batches", json=chats("a", "b")).headers["Location"]

    cancelled = client.post(f"{address}/cancel")

    assert (cancelled.status_code, cancelled.json["status"]) == (200, "cancelling")
    assert upstream.only["status"] == "cancelling"
    time.move(10)
    assert client.post(f"{address}/cancel").json["status"] == "cancelling"
    assert upstream.asked.count("POST /v1/batches/*/cancel") == 1
    upstream.end(answer("A"), None, status="cancelled")
    time.move(10)
    assert client.get(address).json["status"] == "cancelled"
    assert client.post(f"{address}/cancel").json["status"] == "cancelled"
    assert client.get(f"{address}/results").json["results"][0]["body"]["reply"] == "A"


def test_cancelling_what_has_just_ended_shows_the_end(client, upstream, time):
    address = client.post("/api/batches", json=chats("a")).headers["Location"]
    upstream.end(answer("A"))

    shown = client.post(f"{address}/cancel").json

    assert (shown["status"], shown["costMicroUsd"] is not None) == ("completed", True)


@pytest.mark.parametrize("status", [400, 409])
def test_cancelling_what_ends_at_that_very_moment_shows_the_end(client, upstream, time, status):
    address = client.post("/api/batches", json=chats("a")).headers["Location"]

    def end():
        upstream.end(answer("A"))
        return httpx2.Response(status, json=error("Cannot cancel a completed batch"))

    upstream.before["POST /v1/batches/*/cancel"] = [end] if status == 400 else [end, end, end]

    assert client.post(f"{address}/cancel").json["status"] == "completed"


def test_cancelling_is_repeated_until_the_upstream_was_told(app, client, upstream, time):
    address = client.post("/api/batches", json=chats("a")).headers["Location"]
    for _ in range(3):
        upstream.fail("POST /v1/batches/*/cancel", 500)

    assert client.post(f"{address}/cancel").json["status"] == "cancelling"
    assert upstream.only["status"] == "in_progress"
    app.test_cli_runner().invoke(args=["batches", "poll"])

    assert upstream.only["status"] == "cancelling"


def test_the_upstream_is_not_asked_by_every_look(client, upstream, time):
    address = client.post("/api/batches", json=chats("a")).headers["Location"]
    upstream.asked.clear()

    for _ in range(5):
        assert client.get(address).json["status"] == "in_progress"
    assert upstream.asked == []
    time.move(3)
    for _ in range(5):
        client.get(address)
    assert upstream.asked == ["GET /v1/batches/*"]


def test_a_look_while_the_upstream_is_away_shows_what_is_known(client, upstream, time):
    address = client.post("/api/batches", json=chats("a")).headers["Location"]
    for _ in range(3):
        upstream.fail("GET /v1/batches/*", 503)
    time.move(10)

    shown = client.get(address)

    assert (shown.status_code, shown.json["status"]) == (200, "in_progress")


def test_batches_are_listed_the_newest_first_and_by_pages(client, upstream, time):
    ids = []
    for text in ("a", "b", "c"):
        ids.append(client.post("/api/batches", json=chats(text)).json["id"])
        time.move(1)

    page = client.get("/api/batches?limit=2").json
    rest = client.get(f"/api/batches?limit=2&before={page['next']}").json

    assert [batch["id"] for batch in page["batches"]] == ids[:0:-1]
    assert ([batch["id"] for batch in rest["batches"]], rest["next"]) == (ids[:1], None)
    assert client.get("/api/batches?limit=3").json["next"] is None


@each_row("query", ["limit=0", "limit=101", "limit=x", "before=1", "before=batch_1%00", "user=ann", "x=1"])
def test_a_query_that_is_off_is_refused(client, query):
    refused = client.get(f"/api/batches?{query}")

    assert (refused.status_code, refused.json["code"]) == (400, "invalid_request")
    assert refused.json["error"].startswith(f"{query.split('=')[0]}:")


def test_files_that_the_upstream_has_forgotten_are_gone(client, upstream, time):
    address = client.post("/api/batches", json=chats("a")).headers["Location"]
    upstream.end(answer("A"))
    time.move(10)
    client.get(address)
    upstream.files.clear()

    gone = client.get(f"{address}/results")

    assert (gone.status_code, gone.json["code"]) == (410, "results_gone")


def test_a_batch_has_no_more_texts_than_openai_takes(client, upstream):
    refused = client.post("/api/batches", json={"requests": [{"embeddings": {"input": ["a"] * 2_001}}] * 25})
    taken = client.post("/api/batches", json={"requests": [{"embeddings": {"input": ["a"] * 2_000}}] * 25})

    assert (refused.status_code, refused.json["error"]) == (400, "requests: must have at most 50000 texts in all.")
    assert taken.status_code == 201


# Whose batches they are.


@pytest.fixture
def site(make_site, time):
    return make_site(batches="all")


def submit(site, credential, **fields):
    made = site.client.post("/api/batches", json=chats("Hi", **fields), headers=bearer(credential))
    assert made.status_code == 201, made.text
    return made.headers["Location"]


def test_a_batch_is_nobody_elses(site):
    anna, bert = site.token(), site.token(userId="bert")
    other_site = site.new_key("chat,admin", tenant="other")
    address = submit(site, anna)

    for credential in (bert, other_site):
        for method, path in (("GET", ""), ("GET", "/results"), ("POST", "/cancel")):
            hidden = site.client.open(address + path, method=method, headers=bearer(credential))
            assert (hidden.status_code, hidden.json["code"]) == (404, "not_found")
        assert site.client.get("/api/batches", headers=bearer(credential)).json["batches"] == []
    assert site.client.get(address, headers=bearer(anna)).status_code == 200
    assert "user" not in site.client.get(address, headers=bearer(anna)).json


def test_an_admin_sees_all_batches_of_its_tenant(site):
    address, other = submit(site, site.token()), submit(site, site.token(userId="bert"))
    headers = bearer(site.new_key("admin"))

    shown = site.client.get("/api/batches", headers=headers).json["batches"]
    of_bert = site.client.get("/api/batches?user=bert", headers=headers).json["batches"]

    assert {(batch["id"], batch["user"]) for batch in shown} == {
        (address.rpartition("/")[2], "anna"),
        (other.rpartition("/")[2], "bert"),
    }
    assert [batch["user"] for batch in of_bert] == ["bert"]
    assert site.client.post(f"{address}/cancel", headers=headers).json["status"] == "cancelling"
    refused = site.client.post("/api/batches", json=chats("Hi"), headers=headers)
    assert refused.status_code == 403


def test_an_admin_of_all_tenants_sees_the_batches_of_all(site):
    other_key = site.new_key("chat", tenant="other")
    address, other = submit(site, site.token()), submit(site, other_key)
    headers = bearer(site.new_key("admin,all-tenants"))

    def tenants(query=""):
        shown = site.client.get(f"/api/batches{query}", headers=headers).json["batches"]
        return {(batch["tenant"], batch["id"]) for batch in shown}

    both = {("acme", address.rpartition("/")[2]), ("other", other.rpartition("/")[2])}
    assert both <= tenants()
    assert {tenant for tenant, _ in tenants("?tenant=other")} == {"other"}
    assert {tenant for tenant, _ in tenants("?user=anna")} == {"acme"}
    assert site.client.post(f"{other}/cancel", headers=headers).json["status"] == "cancelling"
    own = site.client.get("/api/batches?tenant=other", headers=bearer(site.new_key("admin")))
    assert (own.status_code, own.json["code"]) == (400, "invalid_request")


WHO_MAY_SUBMIT = {
    "off": {"key": 501, "token": 501, "provider": 501, None: 401, "session": 401},
    "keys": {"key": 201, "token": 403, "provider": 403, None: 401, "session": 401},
    "all": {"key": 201, "token": 201, "provider": 201, None: 401, "session": 401},
}


@pytest.mark.parametrize("setting", WHO_MAY_SUBMIT)
def test_batches_are_for_whom_the_setting_says(make_site, time, upstream, subtests, setting):
    site = make_site(batches=setting, auth_required=False, anonymous_scopes=("chat",))
    credentials = {"key": site.key, "token": site.token(), "provider": site.provider.token()}
    for who, status in WHO_MAY_SUBMIT[setting].items():
        with subtests.test(who):
            headers = {"Origin": "http://localhost"} | (bearer(credentials[who]) if who in credentials else {})
            client = site.app.test_client()
            if who == "session":
                client.get("/", headers={"Accept": "text/html"})
            upstream.asked.clear()

            answer = client.post("/api/batches", json=chats("Hi"), headers=headers)

            assert answer.status_code == status, answer.text
            assert bool(upstream.asked) is (status == 201)
            if status == 401:
                assert client.get("/api/batches", headers=headers).status_code == 401


def test_a_batch_of_another_kind_than_the_scope_is_neither_shown_nor_cancelled(site):
    address = submit(site, site.token(scopes=["chat"]))
    other = bearer(site.token(scopes=["embeddings"]))

    for method, path in (("GET", ""), ("GET", "/results"), ("POST", "/cancel")):
        assert site.client.open(address + path, method=method, headers=other).status_code == 403
    assert site.client.get("/api/batches", headers=other).json["batches"] == []
    assert len(site.client.get("/api/batches", headers=bearer(site.token(scopes=["chat"]))).json["batches"]) == 1


def test_a_batch_needs_the_scope_of_its_kind(site, upstream):
    chat_only, vectors_only = site.new_key("chat"), site.new_key("embeddings")
    of_vectors = {"requests": [{"embeddings": {"input": "a"}}]}

    for key, body in ((chat_only, of_vectors), (vectors_only, chats("a")), (site.new_key("usage"), chats("a"))):
        refused = site.client.post("/api/batches", json=body, headers=bearer(key))
        assert (refused.status_code, refused.json["code"]) == (403, "forbidden")
    assert upstream.asked == []
    assert site.client.post("/api/batches", json=of_vectors, headers=bearer(vectors_only)).status_code == 201
    assert site.client.post("/api/batches", json=chats("a")).status_code == 401


def test_a_tokens_ceiling_holds_for_each_request(site, upstream):
    submit(site, site.token(maxTokens=100), maxTokens=500)

    assert upstream.requests()[0]["body"]["max_completion_tokens"] == 100


def test_a_token_that_is_tied_to_a_prompt_may_not_have_batches(make_site, tmp_path, data_root, upstream, time):
    (data_root / "tied").mkdir(exist_ok=True)
    (data_root / "tied" / "support.toml").write_text('system = "Only about parcels."')
    site = make_site(prompts_dir="tied", batches="all")
    token = site.token(prompt="support")

    refused = site.client.post("/api/batches", json=chats("a"), headers=bearer(token))

    assert (refused.status_code, refused.json["code"]) == (403, "forbidden")
    assert upstream.asked == []


def test_each_request_says_whose_it_is_and_that_it_is_not_stored(client, upstream):
    for user in ("anna", "bob"):
        batch = chats("a", "b")
        assert client.post("/api/batches", json=batch, headers={"X-User-Id": user}).status_code == 201

    bodies = [line["body"] for batch in upstream.batches for line in upstream.requests(batch)]
    pseudonyms = client.application.extensions["gatehouse"].pseudonyms
    of_users = [pseudonyms.identify("default", user) for user in ("anna", "anna", "bob", "bob")]
    assert sorted(body["safety_identifier"] for body in bodies) == sorted(of_users)
    assert len({(body["safety_identifier"], body["prompt_cache_key"]) for body in bodies}) == 2
    assert [body["store"] for body in bodies] == [False] * 4


@pytest.mark.parametrize(
    ("is_signed", "kind"), crossed([True, False], ["completed", "failed", "expired", "cancelled"])
)
def test_a_webhook_settles_the_batch_at_once(start, upstream, time, is_signed, kind):
    app = start(openai_webhook_secret="whsec_" + "A" * 32)
    client = app.test_client()
    assert client.post("/api/batches", json=chats("a")).status_code == 201
    upstream.end(answer("1", prompt=10, completion_tokens=4), status=kind)
    body = json.dumps({"type": f"batch.{kind}", "data": {"id": upstream.only["id"]}}).encode()
    at = str(int(app_clock.now()))
    mac = hmac.digest(base64.b64decode("A" * 32), b"wh_1.%b.%b" % (at.encode(), body), "sha256")
    headers = {
        "webhook-id": "wh_1",
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{base64.b64encode(mac).decode() if is_signed else 'AAAA'}",
        "Content-Type": "application/json",
    }

    taken = client.post("/webhooks/openai", data=body, headers=headers)

    assert taken.status_code == (204 if is_signed else 401)
    (batch,) = app.extensions["gatehouse"].batches.list_page(None, limit=5)
    assert (batch.has_ended, batch.cost_micro_usd is not None) == (is_signed, is_signed)


def test_a_kept_prompt_goes_into_each_request(start, data_root, upstream):
    (data_root / "kept").mkdir(exist_ok=True)
    (data_root / "kept" / "short.toml").write_text('system = "Be brief."\nmax_tokens = 40')
    client = start(prompts_dir="kept").test_client()

    made = client.post("/api/batches", json=chats("a", promptName="short"))
    refused = client.post("/api/batches", json=chats("a", promptName="long"))

    assert made.status_code == 201, made.text
    assert conversation_of(upstream.requests()[0]["body"]) == {
        "model": "gpt-6.1-terra",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a"}],
        "max_completion_tokens": 40,
    }
    assert refused.json["error"] == "requests.0.chat.promptName: there is no such prompt."


def test_what_only_makes_sense_while_somebody_waits_is_refused(start, data_root, upstream):
    (data_root / "tools").mkdir(exist_ok=True)
    (data_root / "tools" / "clock.toml").write_text('system = "Tell the time."\ntools = ["current_time"]')
    client = start(prompts_dir="tools", allowed_tools=("current_time",)).test_client()

    for field, value in (("serverTools", ["current_time"]), ("cache", True), ("promptName", "clock")):
        refused = client.post("/api/batches", json=chats("a", **{field: value, "temperature": 0}))
        assert refused.status_code == 400
        assert refused.json["error"].startswith(f"requests.0.chat.{field}: "), refused.json
    assert upstream.asked == []


def test_a_conversation_is_no_longer_than_it_may_be_at_once(start, upstream):
    client = start(max_input_tokens=70).test_client()
    turns = [{"role": "user", "content": "word " * 60}, {"role": "assistant", "content": "ok"}]
    last = {"role": "user", "content": "The end"}

    made = client.post("/api/batches", json={"requests": [{"chat": {"messages": [*turns, last]}}]})
    refused = client.post("/api/batches", json=chats("a", "word " * 600))

    assert made.status_code == 201, made.text
    assert upstream.requests()[0]["body"]["messages"] == [last]
    assert (refused.status_code, refused.json["error"]) == (
        400,
        "requests.1.chat: the conversation is too long.",
    )


# Where there are none.


def test_azure_has_none(start, upstream, rows):
    client = start(azure_openai_endpoint="https://example.openai.azure.com").test_client()

    refused = client.post("/api/batches", json=chats("a"))

    assert (refused.status_code, refused.json["code"]) == (501, "batches_not_offered")
    assert upstream.asked == [] == rows("entries")


def test_a_server_that_knows_no_files_has_none(start, upstream, rows):
    client = start(openai_base_url="http://127.0.0.1:11434/v1").test_client()
    upstream.fail("POST /v1/files", 404)

    refused = client.post("/api/batches", json=chats("a"))

    assert (refused.status_code, refused.json["code"]) == (501, "batches_not_offered")
    assert [entry["state"] for entry in rows("entries")] == ["settled"]


@pytest.mark.parametrize("moderation", ["input", "both"])
def test_what_would_have_to_be_moderated_is_not_taken(start, upstream, moderation):
    client = start(moderation=moderation).test_client()

    refused = client.post("/api/batches", json=chats("a"))
    vectors = client.post("/api/batches", json={"requests": [{"embeddings": {"input": "a"}}]})

    assert (refused.status_code, refused.json["code"]) == (501, "batches_not_offered")
    assert vectors.status_code == 201
    assert len(upstream.batches) == 1


def test_a_repeated_batch_waits_for_one_that_takes_long_to_send(client, upstream, clock):
    sent = {"json": chats("One"), "headers": {"Idempotency-Key": "long-1"}}
    again = []
    repeat = threading.Thread(
        target=lambda: again.append(client.application.test_client().post("/api/batches", **sent))
    )

    def take_long():
        clock.move(ALIVE_S + 1)
        repeat.start()
        repeat.join(0.3)

    upstream.before["POST /v1/files"] = [take_long]
    made = client.post("/api/batches", **sent)
    repeat.join(10)

    assert made.status_code == 201
    assert again[0].data == made.data
    assert again[0].headers["Idempotent-Replay"] == "true"
    assert len(upstream.batches) == 1


@pytest.fixture
def status_of_texts(client, monkeypatch):
    """Submits a batch of texts, which may have 3.5 MB in memory beyond what was sent."""
    monkeypatch.setattr("app.web.request_body._MAX_OVERHEAD_BYTES", 3_500_000)

    def submit(*texts, **options):
        requests = [{"chat": {"message": text}} for text in texts]
        body = json.dumps({"requests": requests}, **options).encode()
        assert len(body) > 1024 * 1024  # smaller ones are parsed at once
        return client.post("/api/batches", data=body, content_type="application/json").status_code

    return submit


def test_texts_that_grow_fourfold_in_memory_are_bounded(status_of_texts):
    text = "a" * 400_000
    assert status_of_texts(text + "😀", text + "😀", text) == 201
    for is_escaped in (False, True):
        assert status_of_texts(*[text + "😀"] * 3, ensure_ascii=is_escaped) == 413


@pytest.mark.thorough
def test_other_texts_that_grow_fourfold_in_memory_are_bounded(status_of_texts):
    text = "a" * 400_000
    assert status_of_texts(text, text, text) == 201
    assert status_of_texts(text + "é€", text + "é€", text + "ж") == 201
    assert status_of_texts("😀" * 100_000, "😀" * 100_000, "😀" * 100_000, ensure_ascii=False) == 201
    for is_escaped in (False, True):
        assert status_of_texts(*['"\\' * 30_000 + text + "😀"] * 3, ensure_ascii=is_escaped) == 413
