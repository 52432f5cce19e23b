"""Headers that every answer of the API has, whatever it is; and how many lines refused requests may write."""

from __future__ import annotations

import logging

import pytest

from app.openai_service.call_recording import log_call
from app.openai_service.results import CallRecord
from tests.fakes.servers import ROOT
from tests.fakes.site import bearer
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import completion, stream_of
from tests.fakes.wire.bodies import EVERY_ROUTE as ROUTES
from tests.fakes.wire.bodies import EVERY_SMALLEST as SMALLEST

OTHERS = [
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/api/usage"),
    ("GET", "/api/batches"),
    ("GET", "/api/batches/none/results"),
    ("GET", "/nowhere"),
    ("DELETE", "/api/chat"),
    ("POST", "/api/chat"),
    ("POST", "/api/token"),
    ("OPTIONS", "/api/chat"),
    ("HEAD", "/healthz"),
]


def check(response, *cache_control):
    assert response.headers.getlist("X-Content-Type-Options") == ["nosniff"]
    assert len(response.headers.getlist("Cache-Control")) == 1
    assert response.headers["Cache-Control"] in cache_control


def test_an_answer_is_neither_sniffed_nor_stored(client, upstream):
    upstream.answers(completion("Hi"))
    check(client.post("/api/chat", json={"message": "Hi"}), "no-store")


@pytest.mark.parametrize("route", ["/api/chat/stream", "/api/chat/openai", "/api/vision/stream"])
def test_a_stream_is_not_sniffed_and_keeps_its_own_rule(client, upstream, route):
    upstream.streams(*stream_of("Hi"))
    check(client.post(route, json=SMALLEST[route]), "no-cache")


@each_row("route", ROUTES)
def test_an_error_of_each_route_is_neither_sniffed_nor_stored(client, route):
    check(client.post(route, json={}), "no-store")


@each_row(("method", "path"), OTHERS)
def test_errors_and_all_others_are_neither_sniffed_nor_stored(client, method, path):
    check(client.open(path, method=method), "no-store")


def lines_of(caplog, name):
    return [record for record in caplog.records if record.message == name]


def refusals_of(caplog):
    """The lines of refused requests: a stream that another test has left open may end, and write its line, at any time."""
    return [
        record
        for record in lines_of(caplog, "request")
        if record.status >= 400 and record.route in ("none", "/api/chat")
    ]


def test_refused_requests_write_sixty_lines_a_minute_of_each_kind_and_the_next_counts_the_others(
    client, clock, caplog
):
    caplog.set_level(logging.INFO)
    for _ in range(100):
        client.get("/nowhere")
    client.post("/api/chat", data="{")
    assert len(refusals_of(caplog)) == 61

    clock.move(60)
    client.get("/nowhere")
    client.get("/nowhere")

    assert [record.left_out for record in refusals_of(caplog)[61:]] == [40, None]


def test_calls_that_are_not_admitted_write_no_more_lines_either(clock, caplog):
    caplog.set_level(logging.INFO)
    clock.move(600)  # whatever other tests have logged
    refused = CallRecord(request_id="r", operation="chat", model="m", caller=None)
    refused.outcome = "not_admitted"
    for _ in range(100):
        log_call(refused)
    assert len(lines_of(caplog, "call")) == 60

    refused.outcome = "complete"
    log_call(refused)
    assert len(lines_of(caplog, "call")) == 61


def test_what_has_no_content_has_no_type(make_site):
    site = make_site()
    admin = bearer(site.key)
    answers = [
        site.client.get("/favicon.ico"),
        site.client.get("/api/chat/nothing/stream", headers=admin),
        site.client.delete("/api/limits/user/anna", headers=admin),
        site.client.delete("/api/tokens?userId=anna", headers=admin),
    ]

    for answer in answers:
        assert answer.status_code == 204
        assert "Content-Type" not in answer.headers
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    sources = {file for file in (ROOT / "app" / "web").rglob("*.py") if "status=204)" in file.read_text()}
    assert {file.name for file in sources} == {"responses.py", "operations.py"}, "use no_content()"
