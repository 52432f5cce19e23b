"""SECRET_KEY_FALLBACKS: what a former SECRET_KEY has signed is accepted, and whatever is new is signed by the current one."""

from __future__ import annotations

import base64
import hmac
import json
from urllib.parse import unquote

import pytest
from flask import Request
from werkzeug.test import EnvironBuilder

from app.auth.audit.actors import SYSTEM_ACTOR
from app.auth.errors import Unauthenticated
from app.cli.doctor.files import check_secrets
from app.config import Config, ConfigError
from app.runtime import doctor_probe
from app.safety.pseudonyms import Pseudonyms
from app.safety.sealed_reasoning import NotSealedHere, ReasoningSeals
from tests.fakes.site import SECRET_KEY, bearer

NEW = "new-canary-secret-" + "n" * 32
OTHER = "other-canary-secret-" + "o" * 32
WEBHOOK = "whsec_" + base64.b64encode(b"canary-webhook-secret-1").decode()


@pytest.fixture
def rotated(make_site):
    """The same site after its secret was replaced, with the former one still accepted."""
    return lambda **settings: make_site(
        **{"secret_key": NEW, "secret_key_fallbacks": (OTHER, SECRET_KEY), **settings}
    )


def test_a_visitors_token_works_on_and_new_ones_are_signed_by_the_new_secret(make_site, rotated):
    old = make_site()
    token = old.token()
    site = rotated()

    assert site.chat(token).status_code == 200
    fresh = site.token(site.key)
    assert site.chat(fresh).status_code == 200
    assert old.chat(fresh).status_code == 401
    assert make_site(secret_key=NEW).chat(token).status_code == 401


def test_an_old_token_that_is_expired_or_revoked_stays_so(make_site, rotated, clock):
    old = make_site()
    revoked, expired = old.token(), old.token(ttlS=60)
    token_id = json.loads(base64.urlsafe_b64decode(revoked.split(".")[1] + "=="))["jti"]
    site = rotated()
    site.client.delete(f"/api/tokens/{token_id}", headers=bearer(old.key))
    clock.move(61)

    assert [site.chat(token).status_code for token in (revoked, expired)] == [401, 401]


def test_a_form_token_works_on(make_site, rotated):
    form = make_site().token_answer().json["formToken"]
    site = rotated()

    answer = site.client.post("/embed/ask", data={"message": "Hi", "formToken": form})
    assert answer.status_code == 200, answer.text
    assert (
        make_site(secret_key=NEW).client.post("/embed/ask", data={"message": "Hi", "formToken": form}).status_code
        == 401
    )


def test_a_session_of_a_page_works_on(make_app):
    old = make_app(secret_key=SECRET_KEY).test_client()
    old.get("/", headers={"Accept": "text/html"})
    cookie = old.get_cookie("gatehouse")
    assert cookie is not None

    def is_known(**settings):
        client = make_app(auth_required=True, **settings).test_client()
        client.set_cookie("gatehouse", cookie.value)
        own_page = {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}
        return client.post("/api/chat", json={"message": "Hi"}, headers=own_page).status_code == 200

    assert is_known(secret_key=NEW, secret_key_fallbacks=(SECRET_KEY,))
    assert not is_known(secret_key=NEW)


def test_an_open_page_of_an_administrator_works_on(make_site, rotated):
    old, own = make_site(), {"Origin": "http://localhost"}
    printed = old.app.test_cli_runner().invoke(args=["admin", "login-url", "--url", "http://localhost"])
    link = unquote(printed.stdout.strip().partition("link=")[2])
    assert old.client.post("/admin/sign-in", data={"link": link}, headers=own).status_code == 303
    form_token = old.client.get("/admin/keys").text.partition('name="formToken" value="')[2].partition('"')[0]

    def sends_at(site):
        for cookie in old.client._cookies.values():  # private API: there is no public list
            site.client.set_cookie(cookie.key, cookie.value)
        form = {"formToken": form_token, "tenant": "acme", "name": "new", "scope.chat": "on"}
        return site.client.post("/admin/keys", data=form, headers=own).status_code

    assert [sends_at(site) for site in (old, rotated(), make_site(secret_key=NEW))] == [200, 200, 401]


def test_the_doctor_of_the_former_secret_still_reads_a_stream(rotated):
    headers = {doctor_probe.HEADER: doctor_probe.sign(SECRET_KEY)}

    assert rotated().client.get(doctor_probe.PATH, headers=headers).status_code == 200


def test_links_for_administrators_work_on(make_site, rotated):
    def opens_at(site):
        token = make_site().auth.admin_sessions.issue_link("anna", by=SYSTEM_ACTOR)
        request = Request(EnvironBuilder(base_url="http://localhost").get_environ())
        try:
            return site.auth.admin_sessions.open(token, request, "127.0.0.1").name
        except Unauthenticated:
            return None

    assert opens_at(rotated()) == "anna"
    assert opens_at(make_site(secret_key=NEW)) is None


def test_sealed_reasoning_is_opened_and_sealed_anew(make_site):
    owner = type("Owner", (), {"tenant": "t", "user": "u", "is_named": True})()
    sealed = ReasoningSeals(SECRET_KEY).seal([{"id": "r"}], owner)

    seals = ReasoningSeals(NEW, (OTHER, SECRET_KEY))
    assert seals.open(sealed, owner) == [{"id": "r"}]
    assert ReasoningSeals(NEW).open(seals.seal([{"id": "s"}], owner), owner) == [{"id": "s"}]
    with pytest.raises(NotSealedHere):
        ReasoningSeals(NEW).open(sealed, owner)


def test_a_user_whom_the_upstream_knows_by_the_former_secret_is_found(make_site, rotated, clock):
    old = make_site()
    token = old.token(userId="anna")
    old.chat(token)
    identifier = Pseudonyms(SECRET_KEY).identify("acme", "anna")
    site = rotated(openai_webhook_secret=WEBHOOK)
    body = json.dumps(
        {"id": "evt_1", "type": "safety_identifier.blocked", "data": {"safety_identifier": identifier}}
    ).encode()
    at = str(int(clock.now()))
    mac = hmac.digest(b"canary-webhook-secret-1", f"wh_1.{at}.".encode() + body, "sha256")
    headers = {
        "webhook-id": "wh_1",
        "webhook-timestamp": at,
        "Content-Type": "application/json",
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }

    assert site.client.post("/webhooks/openai", data=body, headers=headers).status_code == 204
    assert site.chat(token).status_code == 401


def test_users_keep_their_hashes_with_the_former_secret_as_that_of_pseudonyms(make_site, upstream):
    """As at each worker and machine: nothing but the settings says who is who."""

    def hashes(**settings):
        site = make_site(**settings)
        assert site.chat(site.token(userId="anna")).status_code == 200
        body = upstream.sent[-1].body
        logged = site.app.extensions["gatehouse"].pseudonyms.name_in_log("acme", "anna")
        return body["safety_identifier"], body["prompt_cache_key"], logged

    before = hashes()
    kept = {"pseudonym_secret": SECRET_KEY}
    assert hashes(secret_key=NEW, secret_key_fallbacks=(SECRET_KEY,), **kept) == before
    assert hashes(secret_key=NEW, **kept) == before  # thirty days later
    assert hashes(secret_key=OTHER, secret_key_fallbacks=(NEW,), **kept) == before  # the next time
    assert not set(hashes(secret_key=NEW)) & set(before)


def test_machines_that_change_one_after_the_other_accept_one_anothers_tokens_and_agree_on_hashes(make_site):
    steps = (
        {"secret_key": SECRET_KEY},
        {"secret_key": SECRET_KEY, "secret_key_fallbacks": (NEW,), "pseudonym_secret": SECRET_KEY},
        {"secret_key": NEW, "secret_key_fallbacks": (SECRET_KEY,), "pseudonym_secret": SECRET_KEY},
        {"secret_key": NEW, "pseudonym_secret": SECRET_KEY},
    )
    sites = [make_site(**settings) for settings in steps]
    tokens = [site.token() for site in sites]

    def statuses(one, other):
        return [sites[one].chat(tokens[other]).status_code, sites[other].chat(tokens[one]).status_code]

    assert [statuses(step, step + 1) for step in range(2)] == [[200, 200]] * 2
    assert statuses(2, 3) == [200, 200]
    assert 401 in statuses(0, 2)  # as without the first step
    names = {site.app.extensions["gatehouse"].pseudonyms.identify("acme", "anna") for site in sites}
    assert len(names) == 1


def test_a_hash_from_before_the_secret_of_pseudonyms_is_still_somebodys(make_app):
    pseudonyms = (
        make_app(secret_key=NEW, secret_key_fallbacks=(SECRET_KEY,), pseudonym_secret=OTHER)
        .extensions["gatehouse"]
        .pseudonyms
    )
    for secret, is_known in ((OTHER, True), (NEW, True), (SECRET_KEY, True), ("x" * 32, False)):
        assert pseudonyms.is_of(Pseudonyms(secret).identify("acme", "anna"), "acme", "anna") is is_known


def test_the_doctor_tells_that_hashes_have_changed():
    rotated = {"secret_key": NEW, "secret_key_fallbacks": (SECRET_KEY,)}
    assert [each.state for each in check_secrets(Config(**rotated))] == ["warning"]
    assert not list(check_secrets(Config(**rotated, pseudonym_secret=SECRET_KEY)))
    assert not list(check_secrets(Config(secret_key=NEW)))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"pseudonym_secret": "canary"}, "PSEUDONYM_SECRET has fewer than 32 characters"),
        ({"secret_key_fallbacks": (SECRET_KEY,)}, "SECRET_KEY_FALLBACKS needs SECRET_KEY"),
        ({"secret_key": NEW, "secret_key_fallbacks": ("canary",)}, "has a secret of fewer than 32 characters"),
    ],
)
def test_faults_of_the_setting_stop_the_start_without_showing_a_secret(settings, problem):
    with pytest.raises(ConfigError, match=problem) as caught:
        Config(**settings)
    assert "canary" not in str(caught.value)
