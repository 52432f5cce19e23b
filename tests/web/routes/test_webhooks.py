"""What OpenAI reports by webhook is taken once, from OpenAI only, and concerns one user only."""

from __future__ import annotations

import base64
import hmac
import json
import logging
from uuid import uuid4

import pytest

from tests.fakes.site import bearer
from tests.fakes.tables import each_row

SECRET = "whsec_" + base64.b64encode(b"canary-webhook-secret-1").decode()
URL = "/webhooks/openai"


def sign(body, clock, *, id_="wh_1", secret=SECRET, at=None):
    at = str(int(clock.now() if at is None else at))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = base64.b64encode(hmac.digest(key, f"{id_}.{at}.".encode() + body, "sha256")).decode()
    return {
        "webhook-id": id_,
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{mac}",
        "Content-Type": "application/json",
    }


def event(kind, **data):
    return json.dumps({"id": "evt_1", "object": "event", "created_at": 1, "type": kind, "data": data}).encode()


@pytest.fixture
def hooked(make_site):
    return make_site(openai_webhook_secret=SECRET)


def identifier_of(site, upstream, token):
    assert site.chat(token).status_code == 200
    return upstream.sent[-1].body["safety_identifier"]


def send(site, clock, body, **how):
    return site.client.post(URL, data=body, headers=sign(body, clock, **how))


def events_of(site):
    key = site.new_key(scopes="usage,admin")
    return site.client.get("/api/usage", headers=bearer(key)).json["safetyEvents"]


def test_the_tokens_of_a_blocked_user_are_revoked_and_nobody_elses(hooked, upstream, clock, caplog):
    anna, bob = hooked.token(userId="anna"), hooked.token(userId="bob")
    namesake = hooked.token(hooked.new_key(tenant="other"), userId="anna")
    for token in (bob, namesake):
        identifier_of(hooked, upstream, token)
    body = event(
        "safety_identifier.blocked", safety_identifier=identifier_of(hooked, upstream, anna), safety_category="bio"
    )

    with caplog.at_level(logging.WARNING):
        answer = send(hooked, clock, body)

    assert (answer.status_code, answer.data) == (204, b"")
    assert [hooked.chat(token).status_code for token in (anna, bob, namesake)] == [401, 200, 200]
    (told,) = events_of(hooked)
    assert (told["user"], told["tenant"], told["category"]) == ("anna", "acme", "bio")
    assert (told["type"], told["action"]) == ("safety_identifier.blocked", "tokens_revoked")
    (line,) = [record for record in caplog.records if record.message == "safety.reported"]
    assert (line.levelname, line.tenant) == ("WARNING", "acme")
    assert "anna" not in str(vars(line))


@pytest.mark.parametrize("how", ["hash", "id", "none"])
def test_the_line_of_a_report_names_the_user_as_that_of_a_request_does(
    make_site, upstream, clock, caplog, monkeypatch, how
):
    site = make_site(openai_webhook_secret=SECRET, log_users=how)
    anna = site.token(userId="anna")
    identifier = identifier_of(site, upstream, anna)
    monkeypatch.setattr(logging.getLogger("app"), "propagate", True)
    with caplog.at_level(logging.INFO):
        assert site.chat(anna).status_code == 200
        send(site, clock, event("safety_identifier.blocked", safety_identifier=identifier))

    (reported,) = [record for record in caplog.records if record.message == "safety.reported"]
    request = next(each for each in caplog.records if each.message == "request" and each.route == "/api/chat")
    named = {"hash": identifier[:16], "id": "anna", "none": None}[how]
    assert getattr(reported, "user", None) == request.user == named


def test_the_owner_sees_it_in_flask_usage(hooked, upstream, clock):
    anna = identifier_of(hooked, upstream, hooked.token(userId="anna"))
    send(hooked, clock, event("safety_identifier.blocked", safety_identifier=anna))

    month = events_of(hooked)[0]["at"][:7]
    shown = hooked.app.test_cli_runner().invoke(args=["usage", "--month", month]).output

    assert "safety_identifier.blocked: user anna of tenant acme; tokens_revoked." in shown


def test_of_an_address_or_a_key_nothing_is_revoked(make_site, upstream, clock):
    site = make_site(openai_webhook_secret=SECRET, auth_required=False)
    for number, credential in enumerate((None, site.key)):
        body = event("safety_identifier.blocked", safety_identifier=identifier_of(site, upstream, credential))
        assert send(site, clock, body, id_=f"wh_{number}").status_code == 204
        assert site.chat(credential).status_code == 200
    assert [told["action"] for told in events_of(site)] == ["noted"]  # the address is of the tenant `default`


@each_row(
    "body",
    [
        event("safety.warning_issued", case_id="case_1"),
        event("safety_identifier.blocked", safety_identifier="f" * 64),
        event("safety_identifier.blocked", safety_identifier=["x"]),
        event("safety.deactivation_issued"),
        event("response.completed", id="resp_1"),
        event("batch.completed", id="batch_of_another_project"),
        event("batch.completed", id=["x"]),
        event("of.tomorrow", id="x"),
        b'{"type": "safety.warning_issued", "data": null}',
    ],
)
def test_what_concerns_nobody_known_is_acknowledged(hooked, clock, body):
    new_id = f"wh_{uuid4().hex}"  # a copy would be acknowledged without a look

    assert send(hooked, clock, body, id_=new_id).status_code == 204


def test_a_copy_is_acknowledged_and_changes_nothing(hooked, upstream, clock):
    body = event(
        "safety_identifier.blocked", safety_identifier=identifier_of(hooked, upstream, hooked.token(userId="anna"))
    )
    assert send(hooked, clock, body).status_code == 204
    clock.move(2)
    later = hooked.token(userId="anna")

    assert send(hooked, clock, body).status_code == 204
    assert send(hooked, clock, body, at=clock.now() - 2).status_code == 204
    assert hooked.chat(later).status_code == 200
    assert len(events_of(hooked)) == 1


def test_what_failed_is_taken_when_it_comes_again(hooked, upstream, clock, monkeypatch):
    token = hooked.token(userId="anna")
    body = event("safety_identifier.blocked", safety_identifier=identifier_of(hooked, upstream, token))
    events = hooked.app.extensions["gatehouse"].safety_events

    def fail(*_):
        raise OSError

    with monkeypatch.context() as broken:
        broken.setattr(type(events), "handle", fail)
        assert send(hooked, clock, body).status_code == 500
    assert send(hooked, clock, body).status_code == 204
    assert hooked.chat(token).status_code == 401


@each_row(
    "spoil",
    [
        lambda headers: headers.pop("webhook-signature"),
        lambda headers: headers.pop("webhook-id"),
        lambda headers: headers.pop("webhook-timestamp"),
        lambda headers: headers.update({"webhook-id": "wh_2"}),
        lambda headers: headers.update({"webhook-timestamp": "1e9"}),
        lambda headers: headers.update({"webhook-signature": "v1,"}),
        lambda headers: headers.update({"webhook-signature": "v1a," + headers["webhook-signature"][3:]}),
    ],
)
def test_an_unsigned_webhook_is_refused(hooked, clock, spoil):
    body = event("safety.warning_issued", case_id="case_1")
    headers = sign(body, clock)
    spoil(headers)

    answer = hooked.client.post(URL, data=body, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (401, "unauthenticated")
    assert events_of(hooked) == []


@each_row("how", [{"secret": "whsec_" + "A" * 32}, {"at": -301}, {"at": 301}])
def test_another_secret_and_another_time_are_refused(hooked, clock, how):
    body = event("safety.warning_issued")
    if "at" in how:
        how = {"at": int(clock.now()) + how["at"]}

    assert send(hooked, clock, body, **how).status_code == 401


def test_one_of_several_signatures_suffices(hooked, clock):
    """As while a secret is exchanged."""
    body = event("of.tomorrow")
    headers = sign(body, clock)
    headers["webhook-signature"] = f"v1,AAAA v2,x {headers['webhook-signature']}"

    assert hooked.client.post(URL, data=body, headers=headers).status_code == 204


def test_a_signature_of_the_sdk_is_right(hooked, clock):
    """The same as openai's own check takes."""
    from app.openai_service.transport.sdk import openai

    body = event("of.tomorrow")
    headers = sign(body, clock)
    import time

    headers = sign(body, clock, at=int(time.time()))
    openai.OpenAI(api_key="x").webhooks.verify_signature(body, headers, secret=SECRET)


@each_row("body", [b"{", b"[]", b'{"data": {}}', b"\xff"])
def test_a_signed_body_that_is_no_event_is_refused(hooked, clock, body):
    assert send(hooked, clock, body).status_code == 400


def test_a_large_body_is_refused_before_it_is_checked(hooked, clock):
    assert send(hooked, clock, event("x", text="x" * 70_000)).status_code == 413


def test_without_a_secret_there_is_no_such_route(site, clock):
    assert send(site, clock, event("safety.warning_issued")).status_code == 404


def test_guesses_of_one_address_are_bounded(hooked, clock):
    body = event("x")
    answers = [
        send(hooked, clock, body, secret="whsec_" + base64.b64encode(f"guess-{number:010}".encode()).decode())
        for number in range(40)
    ]

    assert {answer.status_code for answer in answers} == {401, 429}
    assert send(hooked, clock, body).status_code == 204
