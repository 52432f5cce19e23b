"""gatehouse.js in Node: against functions in place of a server, and against a real one."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from tests.clients.running_server import HERE
from tests.clients.site import Pages, Site
from tests.fakes.upstreams.openai_answers import MODEL, USAGE, error

pytestmark = pytest.mark.clients

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # one pixel
)
HELLO = [{"type": "token", "token": "Hel"}, {"type": "token", "token": "lo 😀"}]


def use(pages: Pages, name: str, **options: Any) -> Any:
    """Have a script use the module, with tokens of the site, and return what came of it."""
    return pages.site.run("gatehouse_js/real.mjs", use=name, tokens=f"{pages.url}/gatehouse-token", **options)


def without_waits(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] != "retrying"]


@pytest.mark.parametrize("name", ["module", "tokens"])
def test_without_a_server(name: str) -> None:
    command = ["node", "--test", f"gatehouse_js/{name}.test.mjs"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stdout


def test_every_call(site: Site, pages: Pages) -> None:
    site.says("Hel", "lo 😀")
    site.says("A dot.")
    site.says('{"name": "An', 'na"}')

    answers = use(pages, "every call", png=PNG)

    chat = answers["chat"]
    assert (chat["reply"], chat["finishReason"], chat["usage"], chat["model"]) == (
        "Hello there",
        "stop",
        USAGE,
        MODEL,
    )
    assert chat["requestId"]
    *tokens, done = answers["stream"]
    assert tokens == HELLO
    assert (done["type"], done["finishReason"], done["usage"]) == ("done", "stop", USAGE)
    assert {done["model"], done["id"]} == {MODEL, "chatcmpl-1"}
    assert answers["vision"]["reply"] == answers["visionByUrl"]["reply"] == "Hello there"
    assert answers["streamVision"][0] == {"type": "token", "token": "A dot."}
    *partials, done = answers["structured"]
    assert {event["type"] for event in partials} <= {"partial"}
    assert (done["type"], done["data"]) == ("done", {"name": "Anna"})
    assert answers["embed"]["embeddings"] == [[0.5, -0.25]]
    assert answers["usage"]["totals"]["requests"] >= 7
    assert len(pages.tokens) == 1


def test_errors(pages: Pages) -> None:
    field, in_stream, messages, unknown, schema, nobody, nowhere = use(pages, "errors")

    assert (field["status"], field["code"], field["field"]) == (400, "invalid_request", "temperature")
    assert (in_stream["status"], in_stream["field"]) == (400, "maxTokens")
    assert (messages["status"], messages["field"]) == (400, "messages")
    assert unknown["field"] == "max_tokens"
    assert schema["code"] == "unsupported_schema"
    assert (nobody["status"], nobody["code"]) == (401, "unauthenticated")
    assert (nowhere["status"], nowhere["code"]) == (None, "network_error")
    assert all(each["requestId"] for each in (field, in_stream, messages, unknown, schema, nobody))


def test_lost_connections(site: Site, pages: Pages) -> None:
    """Before the first event, amid it, and amid later ones."""
    after = [0, 5, 50, 500, 1000]
    for _ in after:
        site.says("Hel", "lo 😀", *(f" {number}" for number in range(40)))

    answers = use(pages, "lost connections", after=after)

    text = "Hello 😀" + "".join(f" {number}" for number in range(40))
    for answer in answers:
        events = without_waits(answer["events"])
        assert "".join(event["token"] for event in events[:-1]) == text
        assert events[-1]["type"] == "done"
        assert answer["connections"] == 2
    assert len(site.upstream.received) == len(after)


def test_a_plain_call_whose_answer_is_lost_is_billed_once(site: Site, pages: Pages) -> None:
    seen = use(pages, "lost answer")

    assert seen["answer"]["reply"] == "Hello there"
    assert seen["replays"] == [None, "true"]
    assert len(site.upstream.received) == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [("stop", ["token"]), ("abort", ["token", "AbortError"]), ("break", None)],
)
def test_what_is_stopped_ends_on_the_server(
    site: Site, pages: Pages, name: str, expected: list[str] | None
) -> None:
    stream = site.upstream.streams("Hel", "lo")
    stream.release(2)

    seen = use(pages, name)

    assert expected in (None, seen)
    assert stream.left.wait(5)


def test_what_has_not_begun_is_stopped_as_well(site: Site, pages: Pages) -> None:
    """As while a model reasons: there is no answer yet that a page could come back to."""
    stream = site.upstream.streams("Hel", "lo")

    seen = use(pages, "stop early")

    assert seen == []
    assert stream.left.wait(5)


def test_a_busy_model_is_waited_for(site: Site, pages: Pages) -> None:
    site.answers(error(code="rate_limit_exceeded"))
    site.says("Hel", "lo 😀")

    waiting, *events = use(pages, "retry")

    assert waiting["type"] == "retrying"
    assert waiting["after"] >= 1
    assert events[:-1] == HELLO


def test_a_page_that_is_loaded_again_goes_on(site: Site, pages: Pages) -> None:
    stream = site.upstream.streams("Hel", "lo 😀")
    stream.release(2)

    left = use(pages, "leave")
    stream.release_all()
    rest = use(pages, "return", streamId=left["streamId"], lastEventId=left["lastEventId"])

    assert left["text"] == "Hel"
    assert rest[0] == HELLO[1]
    assert [event["type"] for event in rest] == ["token", "done"]


def test_twenty_calls_at_once_renew_a_revoked_token_once(site: Site, pages: Pages) -> None:
    replies = use(pages, "twenty at once", between=f"{pages.url}/revoke-all")

    assert replies == ["Hello there"] * 40
    assert len(pages.tokens) == 2
    assert len(site.upstream.received) == 40


def test_a_token_is_renewed_before_it_expires(pages: Pages) -> None:
    replies = use(pages, "a quarter of an hour")

    assert replies == ["Hello there"] * 6
    assert len(pages.tokens) == 3
