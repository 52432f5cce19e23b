"""Nothing that a caller sends, no answer and no secret is anywhere but where it belongs: canaries in every input."""

from __future__ import annotations

import io
import itertools
import logging
import shutil
import tempfile
from pathlib import Path

import httpx2
import pytest

from app import create_app
from app.config import Config
from app.openai_service import OpenAIService
from app.runtime.log_throttle import LogThrottle
from app.storage.shared_state import MemoryState
from app.web.forms.ask_form import dump_history
from tests.fakes.site import bearer
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import completion, embeddings, error, sse, stream_of
from tests.fakes.wire.bodies import CALL, EVERY_SMALLEST, TEXT_AT, TOOL, USER, placed

pytestmark = pytest.mark.usefixtures("kept_side_processes")

CANARY = "kanarienvogel"
UPSTREAM_KEY = f"sk-upstream-{CANARY}"
SECRET_KEY = f"secret-{CANARY}-0123456789abcdef0123456789abcdef"
STREAMS = [route for route in EVERY_SMALLEST if "stream" in route or route == "/api/chat/openai"]

FAILURES = {
    status: lambda upstream, status=status: upstream.answers(error(f"no {CANARY}"), status=status)
    for status in (400, 401, 403, 404, 408, 409, 422, 429, 500, 503)
}
BREAKS = {
    "timeout": lambda upstream: upstream.raises(httpx2.ReadTimeout(CANARY)),
    "cut": lambda upstream: upstream.raises(httpx2.RemoteProtocolError(CANARY)),
    "no server": lambda upstream: upstream.raises(httpx2.ConnectError(CANARY)),
    "no JSON": lambda upstream: upstream.streams_bytes([CANARY.encode()]),
    "half a stream": lambda upstream: upstream.streams_bytes([sse(*stream_of(CANARY)[:2])]),
    "no choices": lambda upstream: upstream.answers({"id": CANARY, "choices": CANARY}),
}


class World:
    """An application with every line of its log, and each place where it leaves something."""

    def __init__(self, upstream, root: Path, capfd, clock) -> None:
        self.upstream, self.root, self._capfd, self._clock = upstream, root, capfd, clock
        self.config = Config(
            openai_api_key=UPSTREAM_KEY,
            secret_key=SECRET_KEY,
            allowed_origins=("https://www.example.com",),
            log_level="DEBUG",
            metrics_allow=("127.0.0.1",),
            retry_max_attempts=1,
            breaker_failures=1_000_000,
            database_url=f"sqlite:///{root}/ledger.sqlite3",
        )
        self.app = create_app(self.config, http_client=upstream.http_client, shared_state=MemoryState())
        self.services = self.app.extensions["gatehouse"]
        self.client = self.app.test_client()
        self.log = ""

    def open(self, *args, **options):
        answer = self.client.open(*args, **options)
        assert answer.data is not None
        answer.close()
        return answer

    def check(self, *what: str) -> None:
        """Look for each of these texts wherever it must not be.

        After it a minute has passed, so that no line is left out of the log because one like it was just before.
        """
        self.log += "".join(self._capfd.readouterr())
        assert " INFO request " in self.log
        texts = {"the log": self.log, "/metrics": self.open("/metrics").text}
        texts |= {
            str(path): path.read_bytes().decode("latin-1") for path in self.root.rglob("*") if path.is_file()
        }
        found = [
            (place, _around(text, each))
            for (place, text), each in itertools.product(texts.items(), what)
            if each in text
        ]
        assert not found, found[:3]
        self._clock.move(61)


def _around(text: str, part: str) -> str:
    at = text.index(part)
    return text[max(0, at - 300) : at + 60]


@pytest.fixture
def world(upstream, migrated_file, tmp_path, monkeypatch, capfd, clock):
    shutil.copy(migrated_file, tmp_path / "ledger.sqlite3")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("app.services._ROOT", tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    built = World(upstream, tmp_path, capfd, clock)
    yield built
    built.check(UPSTREAM_KEY, SECRET_KEY)


def answer_for(upstream, route: str) -> None:
    if "embeddings" in route:
        upstream.answers(embeddings([[0.25], [0.5]] if "similarity" in route else [[0.25]]))
    elif route in STREAMS:
        upstream.streams(*stream_of('{"a": "', CANARY, '"}'))
    else:
        upstream.answers(completion('{"a": "%s"}' % CANARY))  # noqa: UP031  # braces


@each_row(
    "route",
    EVERY_SMALLEST,
    quickly=lambda route: route not in {"/api/vision/stream", "/api/structured/stream", "/api/embeddings"},
)
def test_content_in_an_answer_and_a_refusal(world, route):
    world.upstream.clear()
    body = placed(EVERY_SMALLEST[route], TEXT_AT[route], f"say {CANARY}")
    answer_for(world.upstream, route)
    assert world.open(route, method="POST", json=body).status_code == 200

    for wrong in (
        {**body, CANARY: 1},
        {**body, "model": CANARY},
        {**body, "temperature": CANARY},
        {**body, "max_tokens": [CANARY]},
        {**body, "tools": [{**TOOL, "type": CANARY}]},
        [CANARY],
        CANARY,
    ):
        answer_for(world.upstream, route)
        world.open(route, method="POST", json=wrong)
    world.open(route, method="POST", data=f'{{"{CANARY}', content_type="application/json")
    world.open(route, method="POST", data=CANARY, content_type=f"text/{CANARY}")
    world.check(CANARY)


@each_row(
    ("route", "how"),
    itertools.product(["/api/chat", "/api/chat/stream", "/api/embeddings"], [*FAILURES, *BREAKS]),
    quickly=lambda route, how: route == "/api/chat" or how in {400, 500, "cut", "no JSON", "half a stream"},
)
def test_whatever_the_upstream_does(world, route, how):
    world.upstream.clear()
    (FAILURES | BREAKS)[how](world.upstream)
    body = placed(EVERY_SMALLEST[route], TEXT_AT[route], f"say {CANARY}")
    answer = world.open(route, method="POST", json=body)

    assert world.upstream.sent
    if answer.status_code >= 400 and how not in (400, 422):  # whose reasons the caller is told
        assert CANARY not in answer.text
    world.check(CANARY)


@each_row("route", ["/api/chat", "/api/chat/stream", "/api/structured", "/api/vision"])
def test_a_bug(world, route, monkeypatch):
    def fail(*_, **__):
        raise ValueError(f"half of {CANARY}") from RuntimeError(CANARY)

    for name in ("chat", "stream_chat", "structured", "stream_structured"):
        monkeypatch.setattr(OpenAIService, name, fail)
    answer = world.open(route, method="POST", json=EVERY_SMALLEST[route])

    assert (answer.status_code, CANARY in answer.text) == (500, False)
    world.check(CANARY)
    assert f"request.bug request_id={answer.headers['X-Request-ID']}" in world.log


def test_a_client_that_leaves(world):
    world.upstream.streams(*stream_of(CANARY, CANARY))
    answer = world.client.post("/api/chat/stream", json={"message": CANARY})
    next(answer.iter_encoded())
    answer.close()

    world.check(CANARY)
    assert "outcome=client_gone" in world.log


def test_conversations_with_tools(world):
    call = placed(CALL, "function.arguments", f'{{"city": "{CANARY}"}}')
    messages = [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": CANARY},
    ]
    for tool_calls in ([call], [placed(call, "function.name", CANARY)]):
        world.upstream.answers(completion(None, finish_reason="tool_calls", tool_calls=tool_calls))
        world.open("/v1/chat/completions", method="POST", json={"messages": messages, "tools": [TOOL]})
    world.check(CANARY)


@each_row("method", ["GET", "POST", "OPTIONS", "DELETE"], quickly=lambda method: method in {"GET", "POST"})
@each_row("path", ["/api/chat", f"/api/{CANARY}", f"/{CANARY}", f"/api/chat/stream/{CANARY}", "/healthz"])
def test_urls_and_headers(world, method, path):
    headers = {
        "User-Agent": CANARY,
        "Referer": f"https://www.example.com/{CANARY}",
        "Cookie": f"session={CANARY}; gatehouse={CANARY}",
        "Authorization": f"Bearer {CANARY}",
        "X-Request-ID": f"not {CANARY}",
        "X-Forwarded-For": CANARY,
        "Idempotency-Key": f"{CANARY},",
        "Last-Event-ID": CANARY,
        "traceparent": CANARY,
        "Accept": f"text/{CANARY}",
        "Origin": f"https://elsewhere.example/{CANARY}",
        f"X-{CANARY}": "1",
    }
    for name, value in headers.items():
        world.open(f"{path}?q={CANARY}&{CANARY}=1&access_token={CANARY}", method=method, headers={name: value})
    world.check(CANARY)


def test_forms_and_names_of_uploads(world):
    for name in ("image", CANARY):
        form = {
            "prompt": CANARY,
            CANARY: CANARY,
            name: (io.BytesIO(CANARY.encode()), f"{CANARY}.png", f"image/{CANARY}"),
        }
        world.open("/api/vision", method="POST", data=form)
    world.open("/embed/ask", method="POST", data={"message": CANARY, "formToken": CANARY})
    world.upstream.answers(completion(CANARY))
    history = dump_history([{"role": "user", "content": CANARY}, {"role": "assistant", "content": CANARY}])
    answered = world.open("/embed/ask", method="POST", data={"message": CANARY, "history": history})
    assert (answered.status_code, CANARY in answered.text) == (200, True)
    world.check(CANARY)


def test_credentials(world):
    key = world.services.authenticator.keys.create(tenant="acme", name="server", scopes=["chat"]).text
    made = world.open(
        "/api/tokens", method="POST", json={"userId": "anna", "ttlS": 600, "scopes": ["chat"]}, headers=bearer(key)
    )
    token = made.json["token"]
    for credential in (key, token, f"{key[:-4]}xxxx", f"{token[:-4]}xxxx"):
        world.upstream.answers(completion("Hi"))
        world.open("/api/chat", method="POST", json={"message": "Hi"}, headers=bearer(credential))
    world.check(key, token, key[-20:], token[-20:])


def test_users_are_in_the_ledger_and_not_in_the_log(world):
    key = world.services.authenticator.keys.create(tenant="acme", name="server", scopes=["chat"]).text
    made = world.open(
        "/api/tokens", method="POST", json={"userId": CANARY, "ttlS": 600, "scopes": ["chat"]}, headers=bearer(key)
    )
    world.upstream.answers(completion("Hi"))
    world.open("/api/chat", method="POST", json={"message": "Hi"}, headers=bearer(made.json["token"]))

    world.log += "".join(world._capfd.readouterr())
    assert world.log.count(" INFO request ") == 2
    assert CANARY not in world.log


def test_a_report_and_an_address_that_cannot_be_read_name_nobody(upstream, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("app.services._ROOT", tmp_path)
    monkeypatch.setattr("app.auth.address._throttle", LogThrottle())
    secret = "whsec_" + "a" * 32
    config = Config(
        openai_api_key="sk-1",
        secret_key=SECRET_KEY,
        openai_webhook_secret=secret,
        trusted_proxies=1,
        database_url=f"sqlite:///{tmp_path}/own.sqlite3",
    )
    app = create_app(config, http_client=upstream.http_client, shared_state=MemoryState())
    monkeypatch.setattr(logging.getLogger("app"), "propagate", True)
    client, built = app.test_client(), app.extensions["gatehouse"]
    upstream.answers(completion("Hi"))
    with caplog.at_level(logging.INFO):
        client.post("/api/chat", json={"message": "Hi"}, headers={"X-Forwarded-For": f"203.0.113.77 {CANARY}"})
        user = _find_user(built)
        identifier = built.pseudonyms.identify("default", user)
        built.safety_events.handle("wh_1", "safety_identifier.blocked", {"safety_identifier": identifier})

    lines = [str(vars(record)) for record in caplog.records]
    assert {"address.unreadable", "safety.reported"} <= {record.message for record in caplog.records}
    assert not [line for line in lines if CANARY in line or "203.0.113.77" in line or user in line]


def _find_user(built) -> str:
    (total,) = built.reports.totals(("user",))
    return total.group[0]
