"""Faults that only the owner can mend: an ERROR line with a hint, once a minute, and on the page in development."""

from __future__ import annotations

import errno
import logging

import httpx2
import pytest

from tests.fakes.tables import each_row, further
from tests.fakes.upstreams.openai_answers import completion, error, stream_of
from tests.fakes.wire.bodies import EVERY_SMALLEST

pytestmark = pytest.mark.one_attempt

CHAT = {"message": "a PROMPT-CANARY"}
FAULTS = [
    (401, {"code": "invalid_api_key"}, "key", "OPENAI_API_KEY"),
    (401, {}, "key", "OPENAI_API_KEY"),
    (429, {"code": "insufficient_quota"}, "quota", "add credit"),
    (402, {}, "quota", "add credit"),
    (403, {}, "permission", "permissions of the key"),
    (401, {"code": "missing_scope"}, "permission", "permissions of the key"),
    (401, {"code": "invalid_organization"}, "account", "OPENAI_ORG_ID"),
    (401, {"code": "mismatched_organization"}, "account", "OPENAI_ORG_ID"),
    (401, {"code": "mismatched_project"}, "account", "project"),
    (404, {"code": "organization_not_found"}, "account", "OPENAI_ORG_ID"),
    (403, {"code": "unsupported_country_region_territory"}, "place", "country"),
    (403, {"code": "ip_not_authorized"}, "place", "address"),
    (429, {"code": "billing_not_active"}, "quota", "add credit"),
    (403, {"code": "model_not_found"}, "model", "CHAT_MODEL"),
    (404, {"code": "DeploymentNotFound"}, "model", "deployments"),
    (301, {}, "address", "OPENAI_BASE_URL"),
    (404, {"code": "model_not_found"}, "model", "CHAT_MODEL"),
    (404, {}, "address", "OPENAI_BASE_URL"),
    (405, {}, "address", "OPENAI_BASE_URL"),
]


def lines_of(caplog):
    return [record for record in caplog.records if record.message == "upstream.owner_fault"]


@pytest.fixture
def client(make_app):
    return make_app(chat_fallback_models=(), breaker_failures=1000).test_client()


@pytest.mark.parametrize("route", ["/api/chat", *further("/api/chat/stream")])
@each_row(("status", "members", "fault", "part"), FAULTS)
@pytest.mark.chat_form
def test_each_fault_is_an_error_line_once_a_minute_and_on_the_page_until_it_is_mended(
    client, upstream, clock, caplog, *, route, status, members, fault, part
):
    clock.move(60)
    caplog.clear()
    for _ in range(3):
        upstream.answers(error("the key ends in CANARY", **members), status)
        assert client.post(route, json=CHAT).status_code == 502

    (line,) = lines_of(caplog)
    assert (line.levelno, line.fault) == (logging.ERROR, fault)
    assert part in line.hint
    assert "CANARY" not in line.hint
    assert part in client.get("/", headers={"Accept": "text/html"}).text

    clock.move(60)
    upstream.answers(error("again", **members), status)
    client.post(route, json=CHAT)
    assert len(lines_of(caplog)) == 2

    upstream.answers(completion("Hi"))
    assert client.post("/api/chat", json=CHAT).status_code == 200
    assert (
        part
        not in client.get("/", headers={"Accept": "text/html"})
        .text.partition('id="fault"')[2]
        .partition("</p>")[0]
    )


def test_a_server_that_cannot_be_reached_is_told(client, upstream, caplog):
    refused = httpx2.ConnectError("refused")
    refused.__cause__ = ConnectionRefusedError()
    upstream.raises(refused)

    client.post("/api/chat", json=CHAT)

    (line,) = lines_of(caplog)
    assert "OPENAI_BASE_URL" in line.hint


@pytest.mark.parametrize(
    ("status", "members"), [(429, {"code": "rate_limit_exceeded"}), (400, {}), *further((500, {}))]
)
def test_what_the_owner_cannot_mend_is_no_such_line(client, upstream, caplog, status, members):
    upstream.answers(error("busy", **members), status)
    client.post("/api/chat", json=CHAT)

    assert not lines_of(caplog)
    assert (
        "hidden"
        in client.get("/", headers={"Accept": "text/html"}).text.partition('id="fault"')[2].partition(">")[0]
    )


@pytest.fixture
def covered(make_app):
    """Has a model that answers when the first one does not."""
    return make_app(chat_fallback_models=("gpt-6-luna",)).test_client()


@pytest.mark.parametrize("route", ["/api/chat", *further("/api/chat/stream", "/api/structured")])
def test_a_model_that_is_gone_is_told_although_another_one_answers(covered, upstream, caplog, clock, route):
    text = "{}" if "structured" in route else "Hi"
    for _ in range(3):
        upstream.answers(error("CANARY", code="model_not_found", param="model"), 404)
        if "stream" in route:
            upstream.streams(*stream_of(text))
        else:
            upstream.answers(completion(text))
        answer = covered.post(route, json={"prompt": "Hi"} if "structured" in route else CHAT)
        assert (answer.status_code, len(answer.get_data()) > 0) == (200, True)

    assert [sent.body["model"] for sent in upstream.sent] == ["gpt-6.1-terra", "gpt-6-luna"] * 3
    (line,) = lines_of(caplog)
    assert (line.fault, line.model, "CANARY" in line.hint) == ("model", "gpt-6.1-terra", False)
    assert "CHAT_MODEL" in covered.get("/", headers={"Accept": "text/html"}).text


def test_an_outage_that_another_model_covers_is_no_fault_of_the_owners(covered, upstream, caplog):
    upstream.answers(error(), 500)

    assert covered.post("/api/chat", json=CHAT).status_code == 200
    assert not lines_of(caplog)


@each_row("route", sorted(EVERY_SMALLEST))
def test_it_is_told_of_every_route(client, upstream, clock, caplog, route):
    clock.move(60)
    caplog.clear()
    upstream.otherwise = lambda _: httpx2.Response(401, json=error("CANARY", code="invalid_api_key"))

    assert client.post(route, json=EVERY_SMALLEST[route]).status_code == 502

    (line,) = lines_of(caplog)
    assert (line.levelno, line.fault) == (logging.ERROR, "key")


@pytest.fixture
def moderated(make_app):
    return make_app(chat_fallback_models=(), moderation="input").test_client()


def test_what_moderation_cannot_do_stays_on_the_page_while_chats_are_answered(moderated, upstream, caplog):
    upstream.otherwise = lambda sent: (
        httpx2.Response(401, json=error("x", code="missing_scope"))
        if sent.path.endswith("/moderations")
        else httpx2.Response(200, json=completion())
    )
    for _ in range(2):
        assert moderated.post("/api/chat", json=CHAT).status_code == 200

    (line,) = lines_of(caplog)
    assert (line.fault, line.model) == ("permission", "omni-moderation-latest")
    assert "omni-moderation-latest" in moderated.get("/", headers={"Accept": "text/html"}).text


@pytest.fixture
def cautious(make_app):
    return make_app(chat_fallback_models=(), breaker_failures=2).test_client()


@pytest.mark.parametrize("number", [errno.EMFILE, *further(errno.ENFILE, errno.ENOMEM)])
def test_a_connection_that_this_machine_cannot_open_is_told_and_opens_no_circuit(
    cautious, upstream, caplog, number
):
    for _ in range(4):
        failed = httpx2.ConnectError("connecting failed")
        failed.__cause__ = OSError(number, "CANARY")
        upstream.raises(failed)
        assert cautious.post("/api/chat", json=CHAT).json["code"] == "upstream_failed"

    (line,) = lines_of(caplog)
    assert (line.fault, line.upstream_code) == ("machine", errno.errorcode[number])
    assert "LimitNOFILE" in line.hint
    assert cautious.post("/api/chat", json=CHAT).status_code == 200
