"""What the moderation endpoint is shown, what it stops, and what happens while it cannot be asked."""

from __future__ import annotations

import base64
import io
import json
import logging
import time

import httpx2
import pytest
from PIL import Image

from app import create_app
from app.config import Config
from app.offline_model.moderations import FLAGGED_PHRASE
from app.openai_service.errors import CallerGone
from app.storage.shared_state import MemoryState
from app.upstream_http.call_state import CallState
from tests.conftest import KEY
from tests.fakes.person import Person
from tests.fakes.tables import crossed, further, in_part
from tests.fakes.upstreams.openai_answers import USAGE, completion, embeddings, error, sse, stream_of
from tests.fakes.upstreams.raw_server import READ, RawServer
from tests.fakes.wire.bodies import IMAGE_URL, SMALLEST, TURNS

CONVERSATIONS = [route for route in SMALLEST if "embeddings" not in route]
WHOLE = ["/api/chat", "/api/vision", "/api/structured"]
STREAMED = [route for route in CONVERSATIONS if route not in WHOLE]
MODERATIONS = "/v1/moderations"
REFUSED = {"error": "The content filter stopped this request.", "code": "content_filter"}


def verdict(*flagged, categories=("violence",)):
    results = [{"flagged": is_it, "categories": dict.fromkeys(categories, is_it)} for is_it in flagged]
    return {"id": "modr-1", "model": "omni-moderation-2024-09-26", "results": results}


class Moderation:
    """The endpoint: it flags texts that contain `flags`, or does as `instead` says."""

    def __init__(self, upstream):
        self.flags = "bad words"
        self.instead = None
        self.reply = '{"it": "is fine"}'
        self._upstream = upstream
        upstream.otherwise = self._answer

    @property
    def shown(self):
        return [sent.body["input"] for sent in self._upstream.sent if sent.path == MODERATIONS]

    @property
    def others(self):
        return [sent for sent in self._upstream.sent if sent.path != MODERATIONS]

    def _answer(self, sent):
        if sent.path == MODERATIONS:
            if self.instead is not None:
                return self.instead()
            return httpx2.Response(200, json=verdict(*[self.flags in str(shown) for shown in sent.body["input"]]))
        if sent.body.get("stream"):
            return self._upstream.event_stream([sse(*stream_of(self.reply))])
        if sent.path == "/v1/embeddings":
            return httpx2.Response(200, json=embeddings([[1, 0] for _ in sent.body["input"]]))
        return httpx2.Response(200, json=completion(self.reply))


@pytest.fixture
def moderation(upstream):
    return Moderation(upstream)


@pytest.fixture
def person_at(make_app, moderation):
    def make(mode="input", **settings):
        return Person(make_app(moderation=mode, **settings))

    return make


@pytest.fixture
def person(person_at):
    return person_at()


@pytest.fixture
def events():
    """What is logged below `app`."""
    kept = []
    handler = logging.Handler(logging.INFO)
    handler.emit = kept.append
    log = logging.getLogger("app")
    log.addHandler(handler)
    yield kept
    log.removeHandler(handler)


def named(events, name):
    return [event for event in events if event.getMessage() == name]


def saying(route, text):
    body = {**SMALLEST[route]}
    place = next(name for name in ("message", "prompt", "messages") if name in body)
    return body | {place: [{"role": "user", "content": text}] if place == "messages" else text}


def ask(person, route, text):
    return person.ask(route, **saying(route, text))


def refusal_of(response):
    return {name: response.json[name] for name in REFUSED} if "error" in response.json else response.json


class TestInput:
    @pytest.mark.parametrize("route", CONVERSATIONS)
    def test_what_is_flagged_is_refused_before_anything_is_asked(self, person, moderation, route):
        response = ask(person, route, "some bad words")

        assert response.status_code == 422
        assert refusal_of(response) in (REFUSED, {"message": REFUSED["error"]})
        assert moderation.others == []
        assert person.rows() == [], "nothing was spent, so nothing was admitted"

    @pytest.mark.parametrize("route", CONVERSATIONS)
    def test_what_is_not_flagged_is_answered_as_ever(self, person, moderation, route):
        response = ask(person, route, "kind words")

        assert response.status_code == 200
        response.get_data()
        [shown] = [texts for texts in moderation.shown if isinstance(texts[0], str)]
        assert shown[-1] == "kind words"
        assert len(moderation.others) == 1
        assert person.row()["attempts"] == 1

    def test_the_endpoint_is_asked_with_its_own_model_and_key(self, person, upstream):
        ask(person, "/api/chat", "Hi")

        assert upstream.sent[0].path == MODERATIONS
        assert upstream.sent[0].body == {"model": "omni-moderation-latest", "input": ["Hi"]}
        assert upstream.sent[0].headers["authorization"].startswith("Bearer sk-")

    def test_all_of_a_conversation_is_shown_whoever_is_said_to_have_written_it(self, person, moderation):
        person.ask(message=None, messages=TURNS)

        assert moderation.shown == [["Hi", "{}", "rain", "Be brief."]]

    @pytest.mark.parametrize("place", range(len(TURNS)))
    def test_any_part_of_it_can_be_what_is_flagged(self, person, moderation, place):
        turns = [dict(turn) for turn in TURNS]
        turns[place]["content"] = "bad words"

        assert person.ask(message=None, messages=turns).status_code == 422

    def test_the_sites_own_prompt_is_not_shown_and_a_callers_is(self, person_at, moderation):
        person = person_at(system_prompt="Say no bad words.")

        assert person.ask(message="Hi").status_code == 200
        assert moderation.shown == [["Hi"]]
        assert person.ask(message="Hi", systemPrompt="Say bad words.").status_code == 422

    def test_images_are_shown_one_at_a_time_after_the_text(self, person, moderation):
        file = io.BytesIO()
        Image.new("RGB", (32, 32), "red").save(file, "PNG")
        data = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"

        response = person.ask("/api/vision", imageUrl=None, images=[IMAGE_URL, data])

        assert response.status_code == 200
        text, first, second = moderation.shown
        assert text == ["Hi"]
        assert first == [{"type": "image_url", "image_url": {"url": IMAGE_URL}}]
        assert [part["type"] for part in second] == ["image_url"]
        assert second[0]["image_url"]["url"].startswith("data:image/")

    def test_a_flagged_image_is_refused(self, person, moderation):
        moderation.flags = IMAGE_URL

        assert person.ask("/api/vision").status_code == 422
        assert moderation.others == []

    def test_a_long_text_is_shown_whole_in_pieces(self, person, moderation):
        text = "".join(f"{number:06d} " for number in range(10_000))

        ask(person, "/api/chat", text)

        pieces = [piece for some in moderation.shown for piece in some]
        assert pieces[0] + "".join(piece[200:] for piece in pieces[1:]) == text
        assert max(map(len, pieces)) == 2_000
        assert max(map(len, moderation.shown)) == 32

    def test_what_is_flagged_in_the_last_piece_is_refused(self, person):
        assert ask(person, "/api/chat", "x" * 100_000 + "bad words").status_code == 422

    @pytest.mark.parametrize("before", [1_795, 1_995, 2_000, 9_999, *further(1_790, 1_799, 1_991, 1_999, 3_595)])
    def test_what_is_flagged_where_pieces_meet_is_refused(self, person, before):
        assert ask(person, "/api/chat", "x" * before + "bad words" + "y" * 500).status_code == 422

    def test_what_tools_and_schemas_say_is_shown_as_well(self, person):
        said = {"description": "bad words"}
        tools = [{"type": "function", "function": {"name": "f", **said}}]
        schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False, **said}

        assert person.ask(tools=tools).status_code == 422
        assert person.ask("/api/structured", schema=schema).status_code == 422

    def test_embeddings_are_not_shown(self, person, moderation):
        assert person.ask("/api/embeddings", input="bad words").status_code == 200
        assert moderation.shown == []

    def test_it_is_off_by_default(self, make_app, moderation):
        assert ask(Person(make_app()), "/api/chat", "bad words").status_code == 200
        assert moderation.shown == []

    def test_the_answer_tells_nothing_of_it(self, person):
        response = ask(person, "/api/chat", "Hi")

        assert response.headers["X-Attempts"] == "1"
        assert response.json["usage"] == USAGE

    def test_the_log_has_the_categories_and_none_of_the_words(self, person, events):
        ask(person, "/api/chat", "bad words")

        [flagged] = named(events, "moderation.flagged")
        assert flagged.categories == "violence"
        calls = [(call.operation, call.outcome) for call in named(events, "call")]
        assert calls == [("moderation", "complete"), ("chat", "rejected")]
        assert "bad words" not in str([vars(event) for event in events])

    def test_categories_that_are_no_names_are_not_logged(self, person, moderation, events):
        moderation.instead = lambda: httpx2.Response(200, json=verdict(True, categories=("Bad words\n", "hate")))

        ask(person, "/api/chat", "bad words")

        assert named(events, "moderation.flagged")[0].categories == "hate"


class TestOutput:
    @pytest.mark.parametrize("route", WHOLE)
    def test_a_flagged_answer_is_not_told_and_what_it_cost_is_settled(self, person_at, moderation, route):
        moderation.reply = '{"some": "bad words"}'
        person = person_at("both")

        response = ask(person, route, "Hi")

        assert response.status_code == 422
        assert refusal_of(response) == REFUSED
        row = person.row()
        assert (row["outcome"], row["source"], row["tokens"]) == ("rejected", "reported", USAGE["total_tokens"])
        assert row["cost_micro_usd"] > 0

    @pytest.mark.parametrize("route", WHOLE)
    def test_an_answer_that_is_not_flagged_is_told(self, person_at, moderation, route):
        response = ask(person_at("both"), route, "Hi")

        assert response.status_code == 200
        [shown] = moderation.shown[-1]
        assert json.loads(shown) == {"it": "is fine"}

    def test_calls_of_tools_and_refusals_are_part_of_an_answer(self, person_at, upstream, moderation):
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": "bad words"}'}}
        person = person_at("both")
        upstream.answers(verdict(False))
        upstream.answers(completion(None, tool_calls=[call], finish_reason="tool_calls"))
        assert person.ask().status_code == 422
        upstream.answers(verdict(False))
        upstream.answers(completion(None, refusal="I will not say bad words."))
        assert person.ask().status_code == 422

    @pytest.mark.parametrize("route", STREAMED)
    def test_streams_are_not_looked_at(self, person_at, moderation, route):
        moderation.reply = '{"some": "bad words"}'
        person = person_at("both")

        response = ask(person, route, "Hi")

        assert b"bad words" in response.get_data()
        assert not any("bad words" in str(shown) for shown in moderation.shown)

    def test_input_alone_leaves_answers_be(self, person, moderation):
        moderation.reply = "bad words"

        assert ask(person, "/api/chat", "Hi").json["reply"] == "bad words"


def status(code, **headers):
    return lambda: httpx2.Response(code, json=error(), headers=headers)


def no_connection():
    raise httpx2.ConnectError("no")


FAILURES = {
    "an error": status(500),
    "a limit": status(429, **{"retry-after": "9"}),
    "no such model": status(404),
    "a refusal": status(400),
    "our key": status(401),
    "no connection": no_connection,
    "no JSON": lambda: httpx2.Response(200, text="<html>"),
    "no results": lambda: httpx2.Response(200, json={"results": []}),
    "other results": lambda: httpx2.Response(200, json={"results": [{"flagged": "yes"}]}),
    "a list": lambda: httpx2.Response(200, json=[]),
}
QUICK_FAILURES = {"an error", "a limit", "a refusal", "no connection", "no JSON", "no results", "a list"}
each_failure = pytest.mark.parametrize("failure", in_part(FAILURES, by_default=QUICK_FAILURES))


class TestFailure:
    @each_failure
    def test_the_request_goes_on_where_that_is_allowed(self, person, moderation, events, failure):
        moderation.instead = failure

        assert ask(person, "/api/chat", "bad words").status_code == 200
        [skipped] = named(events, "moderation.skipped")
        assert skipped.levelname == "WARNING"
        assert person.row()["outcome"] == "complete"

    @pytest.mark.parametrize(
        ("route", "failure"),
        crossed(["/api/chat", "/api/chat/stream"], FAILURES, by_default={"an error", "no connection", "no JSON"}),
    )
    def test_the_request_is_refused_where_that_is_asked_for(self, person_at, moderation, failure, route):
        moderation.instead = failure
        person = person_at(moderation_on_failure="refuse")

        response = ask(person, route, "Hi")

        assert (response.status_code, response.json["code"]) == (502, "upstream_failed")
        assert moderation.others == []
        assert person.rows() == []

    def test_an_answer_that_cannot_be_looked_at_is_refused_and_settled(self, person_at, moderation, upstream):
        moderation.instead = status(500)
        person = person_at("both", moderation_on_failure="refuse")
        upstream.answers(verdict(False))

        assert ask(person, "/api/chat", "Hi").status_code == 502
        assert (person.row()["source"], person.row()["tokens"]) == ("reported", USAGE["total_tokens"])

    def test_it_is_asked_twice(self, person, moderation, upstream):
        upstream.answers(error(), status=500)

        assert ask(person, "/api/chat", "bad words").status_code == 422
        assert len(moderation.shown) == 2
        moderation.instead = status(500)
        ask(person, "/api/chat", "Hi")
        assert len(moderation.shown) == 4

    def test_its_failures_close_no_other_circuit_and_its_own_spares_the_next_the_wait(self, person, moderation):
        moderation.instead = status(500)
        for number in range(5):
            assert ask(person, "/api/chat", f"Hi {number}").status_code == 200
        asked = len(moderation.shown)

        assert ask(person, "/api/chat", "Hi").status_code == 200
        assert len(moderation.shown) == asked

    @pytest.mark.parametrize("on_failure", ["allow", "refuse"])
    def test_an_image_that_it_cannot_use_is_the_callers_fault(self, person_at, moderation, upstream, on_failure):
        person = person_at(moderation_on_failure=on_failure)
        upstream.answers(verdict(False))
        upstream.answers(error(code="image_url_unavailable", param="input"), status=400)

        response = person.ask("/api/vision")

        assert (response.status_code, response.json["code"]) == (400, "invalid_image")
        assert moderation.others == []

    def test_it_is_waited_for_five_seconds_at_most_and_never_past_the_deadline(
        self, person, person_at, monkeypatch
    ):
        left = []

        def call_state(deadline, tick_s):
            left.append(deadline - time.monotonic())
            return CallState(deadline, tick_s)

        monkeypatch.setattr("app.openai_service.chat.moderation.CallState", call_state)

        ask(person, "/api/chat", "Hi")
        ask(person_at(request_timeout_s=2.0), "/api/chat", "Hi")

        assert left == [pytest.approx(5.0, abs=0.5), pytest.approx(2.0, abs=0.5)]


class TestLeaving:
    @pytest.mark.parametrize("route", ["/api/chat", "/api/chat/stream", "/api/structured"])
    def test_who_leaves_meanwhile_is_noticed(self, monkeypatch, route):
        looks = []

        def watch(_):
            looks.append(1)
            if len(looks) > 1:
                raise CallerGone

        monkeypatch.setattr("app.web.client_connection.ClientConnection.check", watch)
        with RawServer([READ, 30.0]) as server:
            config = Config(openai_api_key=KEY, openai_base_url=server.url, moderation="input", heartbeat_s=0.02)
            person = Person(create_app(config, shared_state=MemoryState()))

            response = ask(person, route, "Hi")

            if route == "/api/chat/stream":  # its heartbeats have come first
                assert set(response.get_data().split(b"\n\n")) == {b": heartbeat", b""}
            else:
                assert (response.status_code, response.json["code"]) == (499, "client_gone")
            assert server.connections == 1
        assert person.rows() == []

    @pytest.mark.parametrize("route", ["/api/chat", "/api/structured", "/api/chat/stream"])
    def test_nothing_is_asked_for_who_has_left_even_where_answers_are_read_to_their_end(
        self, person_at, upstream, moderation, monkeypatch, route
    ):
        call_states = []

        def call_state(*args, **kwargs):
            call_states.append(CallState(*args, **kwargs))
            return call_states[-1]

        def leave_meanwhile(sent):
            call_states[0].abandon_after(15.0)
            return answers(sent)

        monkeypatch.setattr("app.openai_service.service.CallState", call_state)
        answers, upstream.otherwise = upstream.otherwise, leave_meanwhile
        person = person_at(disconnect_policy="drain")

        assert ask(person, route, "Hi").status_code == 499
        assert moderation.others == []
        assert person.rows() == []


class TestOffline:
    @pytest.fixture
    def offline(self):
        return create_app(Config(moderation="input")).test_client()

    def test_one_phrase_is_flagged(self, offline):
        body = {"message": f"Please, {FLAGGED_PHRASE.upper()}."}

        assert offline.post("/api/chat", json=body).status_code == 422
        assert offline.post("/api/chat", json={"message": "Please."}).status_code == 200

    def test_images_pass(self, offline):
        assert offline.post("/api/vision", json=SMALLEST["/api/vision"]).status_code == 200
