"""The openai package of npm as a client of a real server."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.clients.running_server import HERE
from tests.fakes.servers import ROOT
from tests.fakes.upstreams.openai_answers import MODEL, USAGE, error, stream_of

pytestmark = pytest.mark.clients

PAGE = (ROOT / "docs" / "openai-compatible.md").read_text(encoding="utf-8")
PROGRAM = re.findall(r"^```javascript\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]
ASKED = {"model": "gpt-6.1-terra", "messages": [{"role": "user", "content": "Hi"}]}


def failure_of(server, method="chat", **options):
    return server.run("openai.mjs", method=method, **options)["error"]


def test_a_plain_answer(server):
    answer = server.run("openai.mjs", method="chat", body=ASKED)["found"]

    assert answer["choices"][0]["message"]["content"] == "Hello there"
    assert (answer["usage"], answer["model"]) == (USAGE, MODEL)


def test_a_stream_with_its_usage(server):
    server.says("Hel", "lo 😀")

    body = {**ASKED, "stream_options": {"include_usage": True}}
    *chunks, last = server.run("openai.mjs", method="stream", body=body)["found"]

    assert "".join(each["choices"][0]["delta"].get("content") or "" for each in chunks) == "Hello 😀"
    assert (last["choices"], last["usage"]) == ([], USAGE)


def test_a_response_plain_and_as_events(server):
    server.says("Hel", "lo 😀")
    body = {"model": "gpt-6.1-terra", "input": "Hi"}

    plain = server.run("openai.mjs", method="respond", body=body)["found"]
    streamed = server.run("openai.mjs", method="follow", body=body)["found"]

    assert (plain["output_text"], plain["usage"]["total_tokens"]) == ("Hello there", 12)
    assert (streamed["text"], streamed["types"][-1]) == ("Hello 😀", "response.completed")


def test_embeddings_which_it_asks_for_in_base64(server):
    body = {"model": "text-embedding-3-small", "input": "Hi"}
    answer = server.run("openai.mjs", method="embed", body=body)["found"]

    assert answer["data"][0]["embedding"] == [0.5, -0.25]


def test_the_program_of_the_page_works_as_printed(server):
    server.says("Hel", "lo")

    program = PROGRAM.replace("http://127.0.0.1:8000", server.url)
    command = ["node", "--input-type=module", "--eval", program]
    ran = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=60, check=False)

    assert (ran.stdout, ran.stderr) == ("Hello", "")


def test_models(server):
    assert server.run("openai.mjs", method="models")["found"][0] == "gpt-6.1-terra"


def test_errors_have_their_class_and_fields(server):
    server.answers(*stream_of("Hel")[:2], error(code="server_error"))

    refused = failure_of(server, body={**ASKED, "temperature": 3})
    unknown = failure_of(server, body={**ASKED, "model": "gpt-9"})
    stranger = failure_of(server, body=ASKED, key="sk-wrong")
    amid = failure_of(server, method="stream", body=ASKED)

    assert (refused["name"], refused["param"], refused["code"]) == (
        "BadRequestError",
        "temperature",
        "invalid_request",
    )
    assert refused["requestID"]
    assert (unknown["name"], unknown["code"]) == ("PermissionDeniedError", "model_not_found")
    assert (stranger["name"], stranger["status"]) == ("AuthenticationError", 401)
    assert (amid["name"], amid["code"]) == ("APIError", "upstream_failed")


def test_a_failure_is_not_tried_again(server, monkeypatch):
    monkeypatch.setattr(server.upstream, "status", 500)

    failed = failure_of(server, body=ASKED, retries=2)

    assert (failed["name"], failed["status"]) == ("InternalServerError", 502)
    assert len(server.upstream.received) == 1
