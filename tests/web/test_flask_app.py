"""What WebApp leaves out of Flask changes nothing that a caller sees."""

from __future__ import annotations

import io
import itertools

import pytest
from flask import Blueprint, Flask, Response, g, request, request_tearing_down

from app.web.flask_app import WebApp
from app.web.request_id import RequestState, add_headers, current_request, current_state
from app.web.responses import JsonResponse, StreamedResponse
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import completion

HOSTS = ["localhost", "www.example.com:8000", "[::1]:80", "", "a..b", "under_score", "x" * 70 + ".com", "a b", "é"]


def build(kind):
    app = kind("test")
    app.url_map.merge_slashes = False

    @app.post("/fixed")
    def fixed():
        return {"host": request.host, "path": request.path, "args": request.args, "url": request.url}

    @app.get("/fixed")
    def shown():
        return "shown"

    @app.route("/of/<name>", methods=["POST"])
    def of(name):
        return name

    return app


def ask(app, path, **how):
    answer = app.test_client().open(path, **how)
    return answer.status, answer.data, sorted(answer.headers)


@each_row(
    ("method", "path"),
    [
        ("POST", "/fixed"),
        ("POST", "/fixed?a=1&a=2"),
        ("POST", "/fixed/"),
        ("POST", "//fixed"),
        ("GET", "/fixed"),
        ("HEAD", "/fixed"),
        ("OPTIONS", "/fixed"),
        ("DELETE", "/fixed"),
        ("POST", "/of/me"),
        ("POST", "/of/%C3%A9"),
        ("POST", "/nowhere"),
    ],
)
def test_every_request_is_matched_as_flask_matches_it(method, path):
    ours, theirs = build(WebApp), build(Flask)
    for _ in range(3):  # once by Flask, then by the table
        assert ask(ours, path, method=method) == ask(theirs, path, method=method)


@each_row("values", [{}, {"name": "é/ü"}, {"name": "me", "more": "a b"}])
def test_urls_are_built_as_flask_builds_them(values):
    urls = []
    for app in (build(WebApp), build(Flask)):
        with app.test_request_context():
            endpoint = "of" if values else "fixed"
            urls.append([app.url_for(endpoint, **values) for _ in range(2)])  # compiled first, then kept
    assert urls[0] == urls[1]


@each_row("host", HOSTS)
def test_every_host_is_taken_or_refused_as_flask_does_it(host):
    ours, theirs = build(WebApp), build(Flask)
    for _ in range(3):
        how = {"method": "POST", "environ_overrides": {"HTTP_HOST": host}}
        assert ask(ours, "/fixed", **how) == ask(theirs, "/fixed", **how)


def test_hosts_that_were_seen_do_not_fill_the_memory():
    app = build(WebApp)
    for number in range(100):
        ask(app, "/fixed", method="POST", environ_overrides={"HTTP_HOST": f"h{number}.example"})
    assert len(app._hosts) <= 64


def test_a_websocket_is_refused_as_flask_refuses_it():
    headers = {"Connection": "Upgrade", "Upgrade": "websocket"}
    ours, theirs = build(WebApp), build(Flask)
    for _ in range(2):
        assert ask(ours, "/fixed", method="POST") == ask(theirs, "/fixed", method="POST")
        assert ask(ours, "/fixed", method="POST", headers=headers) == ask(
            theirs, "/fixed", method="POST", headers=headers
        )


def test_no_view_or_hook_is_a_coroutine(app):
    hooks = [app.before_request_funcs, app.after_request_funcs, app.teardown_request_funcs]
    functions = [function for each in hooks for group in each.values() for function in group]
    for function in (*app.view_functions.values(), *functions):
        assert Flask.ensure_sync(app, function) is function


def test_what_stands_for_the_request_is_the_request_itself(app):
    with app.test_request_context("/", headers={"X-A": "1"}):
        assert type(g._get_current_object()) is RequestState
        assert current_state() is g._get_current_object()
        assert current_request() is request._get_current_object()
        current_state().request_id = "r1"
        assert (g.request_id, g.get("request_id"), g.get("absent", 2)) == ("r1", "r1", 2)


def test_added_headers_are_headers_like_others():
    response = Response()
    add_headers(response, [("X-One", "1"), ("X-Two", "2")])
    assert (response.headers["x-one"], response.headers.getlist("X-Two")) == ("1", ["2"])
    response.headers["X-One"] = "3"
    assert response.headers.getlist("X-One") == ["3"]


def called(response, method="POST"):
    sent = []
    environ = {"REQUEST_METHOD": method, "wsgi.url_scheme": "http", "HTTP_HOST": "localhost"}
    body = response(environ, lambda status, headers: sent.append((status, sorted(headers))))
    content = b"".join(body)
    if hasattr(body, "close"):
        body.close()
    return sent, content


def test_json_answer_is_sent_as_a_response_would_be():
    content, more = b'{"a":1}', [("X-Model", "m")]
    theirs = Response(content, content_type="application/json", headers=more)

    assert called(JsonResponse.create(content, more)) == called(theirs)
    assert called(JsonResponse.create(content, more), "HEAD") == called(theirs, "HEAD")
    ours = JsonResponse.create(content, more)
    assert (ours.status_code, ours.data, ours.json, ours.mimetype) == (200, content, {"a": 1}, "application/json")
    assert (ours.content_length, ours.is_json, ours.headers["X-Model"]) == (len(content), True, "m")


def test_json_answers_share_nothing():
    first, second = JsonResponse.create(b"1", []), JsonResponse.create(b"22", [])
    closed = []
    first.call_on_close(lambda: closed.append(1))
    first.headers["X-A"] = "1"
    first.status_code = 201

    called(second)
    assert (second.status_code, second.headers.get("X-A"), closed) == (200, None, [])
    sent, body = called(first)
    assert (sent[0][0], body, closed) == ("201 CREATED", b"1", [1])


class Pieces:
    """A body that notes when it is closed."""

    def __init__(self) -> None:
        self.is_closed = False

    def __iter__(self):
        yield from (b"one ", b"two")

    def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize("method", ["POST", "HEAD"])
def test_streamed_answer_is_sent_as_a_response_would_be(method):
    kind, more = "text/event-stream; charset=utf-8", [("Cache-Control", "no-cache"), ("X-Model", "m")]
    ours, theirs = Pieces(), Pieces()
    made = StreamedResponse.create(ours, [("Content-Type", kind), *more])
    usual = Response(theirs, content_type=kind, headers=more, direct_passthrough=True)

    assert (made.status_code, made.mimetype, made.headers["x-model"]) == (200, "text/event-stream", "m")
    assert called(made, method) == called(usual, method)
    assert ours.is_closed
    assert theirs.is_closed


def test_streamed_answers_share_nothing():
    first, second = StreamedResponse.create([b"1"], []), StreamedResponse.create([b"2"], [])
    first.headers["X-A"] = "1"
    first.status_code = 201

    assert called(second) == ([("200 OK", [])], b"2")
    assert called(first) == ([("201 CREATED", [("X-A", "1")])], b"1")


BODY = b'{"message": "Hi"}'


@each_row(
    ("length", "body", "is_terminated"),
    [(length, BODY + b" and more", False) for length in ("3", "17", "999", "", "-1", "+3", "0x3", "²", "00017")]
    # A server that ends the body by itself hands out no more than was announced.
    + [(length, BODY, True) for length in ("17", "999", "", "-1", "+3", "0x3", "²")],
)
def test_body_is_read_as_far_as_its_length_goes(upstream, client, length, body, is_terminated):
    answers = []
    # With a transfer encoding it is left to werkzeug how to read it.
    for more in ({}, {"HTTP_TRANSFER_ENCODING": "identity"}):
        upstream.answers(completion())
        overrides = {"CONTENT_LENGTH": length, "wsgi.input": io.BytesIO(body), **more}
        if is_terminated:
            overrides["wsgi.input_terminated"] = True
        answer = client.post("/api/chat", content_type="application/json", environ_overrides=overrides)
        answers.append((answer.status_code, answer.json.get("error"), answer.json.get("reply")))
    assert answers[0] == answers[1]


@each_row(
    ("path", "method"),
    itertools.product(["/", "/outer/", "/outer/inner/", "/nowhere", "/stopped/"], ["GET", "POST", "OPTIONS"]),
    quickly=lambda path, method: method == "POST" or path == "/outer/inner/",
)
def test_hooks_are_called_as_flask_calls_them(path, method):
    assert list_hooks(WebApp, path, method) == list_hooks(Flask, path, method)


def list_hooks(kind, path, method):
    app, called = kind("test"), []
    outer, inner, stopped = (
        Blueprint(name, name, url_prefix=f"/{name}") for name in ("outer", "inner", "stopped")
    )
    for owner in (app, outer, inner, stopped):
        for number in (1, 2):
            name = f"{owner.name} {number}"
            owner.before_request(lambda name=name: called.append(name))
            owner.after_request(lambda response, name=name: called.append(f"after {name}") or response)
            owner.teardown_request(lambda _, name=name: called.append(f"end {name}"))
        owner.add_url_rule("/", "shown", lambda: called.append("view") or "shown", methods=["GET", "POST"])
    stopped.before_request(lambda: "stopped")
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    app.register_blueprint(stopped)
    client = app.test_client()
    return [client.open(path, method=method).text for _ in range(2)], called


def test_a_signal_of_the_end_of_a_request_is_sent():
    app, ended = build(WebApp), []
    with request_tearing_down.connected_to(lambda *_, **__: ended.append(request.path), app):
        assert app.test_client().post("/fixed").status_code == 200
    assert ended == ["/fixed"]


def test_uploaded_files_are_closed_after_the_request():
    app = WebApp("test")
    received = []

    @app.post("/")
    def upload():
        received.append(request.files["a"].stream)
        return "uploaded"

    with app.test_client() as client:
        assert client.post("/", data={"a": (io.BytesIO(b"text"), "a.txt")}).status_code == 200
        client.get("/")  # which ends what the test's client keeps open
    assert received[0].closed
