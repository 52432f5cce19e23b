"""Whom OpenAI reports is refused by every credential issued so far, and their running answers end; nobody else notices."""

from __future__ import annotations

import itertools
import json

import pytest

from app.safety.reported_users import ReportedUsers
from app.web.encoders.base import BrokenStream
from tests.fakes.site import bearer
from tests.fakes.upstreams.openai_answers import sse, stream_of
from tests.web.routes.test_webhooks import SECRET, event, identifier_of, send

STREAMS = {
    "/api/chat/stream": {"message": "Hi"},
    "/api/completion": {"prompt": "Hi"},
    "/v1/chat/completions": {
        "model": "gpt-6.1-terra",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
    },
    "/v1/responses": {"model": "gpt-6.1-terra", "input": "Hi", "stream": True},
}


@pytest.fixture
def hooked(records, make_site, monkeypatch):
    monkeypatch.setattr("app.web.streaming._CHECK_S", 0.0)
    monkeypatch.setattr("app.safety.reported_users._READ_EVERY_S", 0.0)
    return make_site(openai_webhook_secret=SECRET, jwt_tenant="acme")


def report(site, clock, identifier, **how):
    assert (
        send(site, clock, event("safety_identifier.blocked", safety_identifier=identifier), **how).status_code
        == 204
    )


def test_tokens_of_the_identity_provider_are_refused_as_well(hooked, upstream, clock):
    provided, bobs = hooked.provider.token(), hooked.provider.token(sub="bob")
    undated = hooked.provider.token(iat=None)
    token = hooked.token(userId="anna")
    identifier = identifier_of(hooked, upstream, provided)
    assert identifier == identifier_of(hooked, upstream, token)

    report(hooked, clock, identifier)

    assert [hooked.chat(each).status_code for each in (provided, undated, token, bobs)] == [401, 401, 401, 200]


def test_what_the_provider_issues_later_is_accepted(hooked, upstream, clock):
    report(hooked, clock, identifier_of(hooked, upstream, hooked.provider.token()))
    clock.move(1)

    assert hooked.chat(hooked.provider.token(iat=int(clock.now()))).status_code == 200


def test_the_site_revokes_them_too(hooked):
    provided = hooked.provider.token()
    assert hooked.chat(provided).status_code == 200

    assert hooked.client.delete("/api/tokens?userId=anna", headers=bearer(hooked.key)).status_code == 204

    assert hooked.chat(provided).status_code == 401


def credentials(site):
    return {
        "token": bearer(site.token(userId="anna")),
        "provided": bearer(site.provider.token()),
        "named": bearer(site.key) | {"X-User-Id": "anna"},
    }


# Each stream with a token, and each credential with one stream; the others are left to `make thorough`.
STREAMS_AND_CREDENTIALS = [
    pytest.param(
        path,
        credential,
        marks=pytest.mark.thorough if path != next(iter(STREAMS)) and credential != "token" else (),
    )
    for path, credential in itertools.product(STREAMS, ["token", "provided", "named"])
]


@pytest.mark.parametrize(("path", "credential"), STREAMS_AND_CREDENTIALS)
def test_a_running_stream_ends_with_an_error_and_is_settled(hooked, upstream, clock, records, path, credential):
    identifier = identifier_of(hooked, upstream, hooked.token(userId="anna"))
    pieces = [sse(payload) for payload in stream_of("begun", *["more"] * 100)]

    def come():
        for number, piece in enumerate(pieces):
            if number == 5:
                report(hooked, clock, identifier)
            yield piece

    upstream.streams_bytes(come())
    answer = hooked.client.post(path, json=STREAMS[path], headers=credentials(hooked)[credential])
    if path == "/api/completion":  # bare text: the connection breaks
        with pytest.raises(BrokenStream):
            answer.get_data()
        answer.close()
    else:
        body = answer.text
        assert "begun" in body
        assert body.count("more") < 50
        assert "its user was reported" in body
    assert upstream.open_streams == 0
    assert records[-1].outcome == "interrupted"
    usage = hooked.client.get("/api/usage", headers=bearer(hooked.new_key(scopes="usage,admin"))).json
    assert usage["totals"]["requests"] == 2
    assert usage["totals"]["costMicroUsd"] > 0


def test_the_streams_of_others_and_later_ones_go_on(hooked, upstream, clock, records):
    identifier = identifier_of(hooked, upstream, hooked.token(userId="anna"))

    def come(and_then):
        for number, payload in enumerate(stream_of("begun", "more")):
            if number == 2:
                and_then()
            yield sse(payload)

    for credential in (hooked.token(userId="bob"), hooked.key):
        upstream.streams_bytes(come(lambda: report(hooked, clock, identifier, id_=f"wh_{len(records)}")))
        assert '"done": true' in hooked.chat(credential, "/api/chat/stream").text.replace(
            '"done":true', '"done": true'
        )

    clock.move(1)
    upstream.streams_bytes(come(lambda: None))
    assert records[-1].outcome == "complete"
    hooked.chat(hooked.token(userId="anna"), "/api/chat/stream").get_data()
    assert records[-1].outcome == "complete"


def test_what_others_reported_long_ago_is_forgotten(hooked, clock):
    state = hooked.app.extensions["gatehouse"].shared_state
    users = ReportedUsers(state)
    for number in range(1_100):
        users.add(f"acme/user-{number}")
    assert len(json.loads(state.read("reported_users"))) == 1_000

    clock.move(121)
    users.add("acme/anna")

    assert list(json.loads(state.read("reported_users"))) == ["acme/anna"]
