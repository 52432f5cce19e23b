"""The commands of docs/ are run: each curl line against a real server, and the tables are compared with the code.

A command needs its answer in the next block. Only the pages in NOT_RUN are left out.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app import create_app
from app.config import Config
from app.web.schemas.admin.limits import LimitsRequest
from app.web.schemas.chat import ChatRequest
from app.web.schemas.embeddings import EmbeddingsRequest, SimilarityRequest
from app.web.schemas.openai_chat import ChatSettings, OpenAIChatRequest
from app.web.schemas.structured import StructuredRequest
from app.web.schemas.tokens import TokenRequest
from app.web.schemas.validation import RequestModel
from app.web.schemas.vision import VisionRequest
from tests.fakes.servers import ROOT, exchange, free_port, gunicorn, wait_until
from tests.fakes.tables import each_row
from tests.fakes.wire.reading import events_of

DOCS = ROOT / "docs"
# Their commands need a server with systemd, Nginx and a name, or an engine for containers.
NOT_RUN = {"deploying.md", "containers.md"}
PAGES = {
    file.name: file.read_text(encoding="utf-8") for file in sorted(DOCS.glob("*.md")) if file.name not in NOT_RUN
}
PRINTED_ADDRESS = "http://127.0.0.1:8000"


def blocks_of(page: str) -> list[tuple[str, str]]:
    """The kind and the text of each block of code."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def commands_of(page: str) -> list[tuple[str, str, str]]:
    """Each command, the kind of the block behind it, and that block: its answer."""
    blocks = blocks_of(page)
    return [
        (text.strip(), *following)
        for (kind, text), following in pairwise([*blocks, ("", "")])
        if kind in {"sh", "bash"} and text.startswith("curl")
    ]


COMMANDS = [command for page in PAGES.values() for command in commands_of(page)]
# The README shows what to expect in words only.
README_COMMANDS = [command for command, *_ in commands_of((ROOT / "README.md").read_text(encoding="utf-8"))][:3]
MODELS: dict[str, type[RequestModel]] = {
    "POST /api/chat": ChatRequest,
    "POST /api/chat/openai": OpenAIChatRequest,
    "POST /api/vision": VisionRequest,
    "POST /api/embeddings": EmbeddingsRequest,
    "POST /api/embeddings/similarity": SimilarityRequest,
    "POST /api/structured": StructuredRequest,
    "POST /api/tokens": TokenRequest,
    "PUT /api/limits/<kind>/<id>": LimitsRequest,
}
MAKE_KEY = re.compile(r"^export GATEHOUSE_KEY=\$\(\.venv/bin/(flask keys create .*)\)$", re.MULTILINE)

MAKE_ADMIN_KEY = re.compile(r"^export ADMIN_KEY=\$\(\.venv/bin/(flask keys create .*)\)$", re.MULTILINE)
MAKE_BATCH = re.compile(r"^export BATCH=\$\((curl .*)\)$", re.MULTILINE)
MAKE_TOKEN = re.compile(r"^export VISITOR_TOKEN=\$\((curl .*)\)$", re.MULTILINE)

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


@dataclass(frozen=True)
class Ran:
    """What a command did. curl itself told the status, as the settings of `folder` make it do."""

    exit_status: int
    status: str
    output: bytes


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    database = tmp_path_factory.mktemp("database") / "gatehouse.sqlite3"
    return {"SECRET_KEY": "s" * 40, "DATABASE_URL": f"sqlite:///{database}", "DATA_DIR": str(database.parent)}


@pytest.fixture(scope="module")
def address(settings: dict[str, str]) -> Iterator[str]:
    """The server, of threads, as that of tests/server/arbiter/test_gunicorn.py is of greenlets."""
    port = free_port()
    app = "tests.fakes.servers:app_that_streams_at_once()"
    own = {"WEB_CONCURRENCY": "1", "WORKER_CLASS": "gthread", "PYTHONWARNINGS": "error"}
    with gunicorn(app, wait_for=port, PORT=str(port), **own, **settings) as server:
        yield f"http://127.0.0.1:{port}"
        assert not server.faults()
        assert "Warning" not in server.log()


@pytest.fixture(scope="module")
def keys(settings: dict[str, str]) -> dict[str, str]:
    """A key of each kind, made by the command that a page has for it."""
    app = create_app(Config(**{name.lower(): value for name, value in settings.items()}))
    commands = {
        "GATEHOUSE_KEY": MAKE_KEY.findall(PAGES["auth.md"]),
        "ADMIN_KEY": MAKE_ADMIN_KEY.findall(PAGES["limits.md"]),
    }
    made = {}
    with contextlib.closing(app.extensions["gatehouse"]):
        for name, [command] in commands.items():
            ran = app.test_cli_runner().invoke(args=shlex.split(command)[1:])
            assert ran.exit_code == 0, ran.output
            made[name] = ran.stdout.strip()
    return made


@pytest.fixture(scope="module")
def results(address: str, keys: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    """Every command of the pages, run by the shell as it is printed, all at once; those about a batch once it has ended."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    folder = tmp_path_factory.mktemp("reader")
    Image.new("RGB", (640, 480), "red").save(folder / "photo.jpg")
    (folder / ".curlrc").write_text('silent\nshow-error\nwrite-out = "%{stderr}%{http_code}"\n')

    env = {
        **os.environ,
        "CURL_HOME": str(folder),
        **keys,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }

    def run(command: str) -> Ran:
        ran = subprocess.run(
            ["sh", "-c", command.replace(PRINTED_ADDRESS, address)],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=30,
            check=False,
        )
        return Ran(ran.returncode, ran.stderr.decode(), ran.stdout)

    [make_token] = MAKE_TOKEN.findall(PAGES["prompts.md"])
    env["VISITOR_TOKEN"] = run(make_token).output.decode().strip()
    [make_batch] = MAKE_BATCH.findall(PAGES["batches.md"])
    env["BATCH"] = run(make_batch).output.decode().strip()
    headers = {"Authorization": f"Bearer {keys['GATEHOUSE_KEY']}"}

    def has_ended() -> bool:
        with exchange(
            int(address.rpartition(":")[2]), "GET", f"/api/batches/{env['BATCH']}", headers=headers
        ) as answer:
            return bool(json.loads(answer.read())["endedAt"])

    commands = [command for command, *_ in COMMANDS] + README_COMMANDS
    about_batch = [command for command in commands if "$BATCH" in command]
    others = [command for command in commands if "$BATCH" not in command]
    with ThreadPoolExecutor(len(commands)) as pool:
        ran = dict(zip(others, pool.map(run, others), strict=True))
        wait_until(has_ended, "the batch has ended")
        return ran | dict(zip(about_batch, pool.map(run, about_batch), strict=True))


def fits(shown: Any, real: Any) -> bool:
    """Whether an answer has all the members that the page shows, and they are of the same types."""
    if isinstance(shown, dict):
        return isinstance(real, dict) and all(name in real and fits(shown[name], real[name]) for name in shown)
    if isinstance(shown, list):
        return isinstance(real, list) and len(real) == len(shown) and all(map(fits, shown, real))
    return type(real) is type(shown)


def split_head(answer: str) -> tuple[str, set[str], Any]:
    """The status, the names of the headers, and the JSON of an answer as `curl -i` prints it."""
    head, _, body = answer.replace("\r\n", "\n").partition("\n\n")
    first, *lines = head.splitlines()
    content = json.loads(body) if body.strip() else None
    return first.split()[1], {line.partition(":")[0] for line in lines}, content


@pytest.mark.parametrize(("command", "kind", "shown"), COMMANDS, ids=[command[:90] for command, *_ in COMMANDS])
def test_a_command_gives_the_answer_that_is_printed_below_it(
    results: dict[str, Ran], command: str, kind: str, shown: str
) -> None:
    ran = results[command]
    assert ran.exit_status == 0, ran

    if kind == "http":
        status, headers, body = split_head(shown)
        real_status, real_headers, real_body = split_head(ran.output.decode())
        assert ran.status == status == real_status
        assert headers <= real_headers
        assert (body or {}).get("error") == (real_body or {}).get("error")
        assert fits(body, real_body), ran
        return

    assert ran.status == "200", ran
    if kind == "json":
        assert fits(json.loads(shown), json.loads(ran.output)), ran
    elif "data: " in shown:
        *tokens, done = events_of(f"{shown}\n".replace("…\n\n", "").encode())
        *real_tokens, real_done = events_of(ran.output)
        if "partial" in tokens[0]:  # how much of a value has come by then is a matter of time
            assert all(fits({"partial": {}}, event) for event in real_tokens)
        elif "tool" in tokens[0]:  # each call has an id and a time of its own
            assert fits(tokens, real_tokens[: len(tokens)])
        else:
            assert real_tokens[: len(tokens)] == tokens
        assert real_done.keys() == done.keys()
        assert fits(done, real_done)
    else:
        assert kind == "text"
        assert ran.output.decode().startswith(shown.partition("…")[0])


def test_the_first_commands_of_the_readme_are_answered(results: dict[str, Ran]) -> None:
    chat, stream, vision = (results[command] for command in README_COMMANDS)

    assert [(ran.exit_status, ran.status) for ran in (chat, stream, vision)] == [(0, "200")] * 3
    assert {"reply", "role", "content"} <= json.loads(chat.output).keys()
    assert b'"done":true' in stream.output
    assert "a JPEG image" in json.loads(vision.output)["reply"]


def test_every_route_has_a_command_and_every_command_a_route() -> None:
    called = {path for command, *_ in COMMANDS for path in re.findall(rf"{PRINTED_ADDRESS}(/[\w/$.]+)", command)}

    rules = {rule.rule for rule in create_app(Config()).url_map.iter_rules()}
    rule_of = {
        path: next(rule for rule in rules if re.fullmatch(re.sub("<.*?>", "[^/]+", rule), path)) for path in called
    }

    assert set(rule_of.values()) == {rule for rule in rules if rule.startswith(("/api", "/v1"))} | {
        "/healthz",
        "/readyz",
        "/openapi.json",
    }


def section(title: str) -> str:
    """The text of the one section that documents a route, without its subsections."""
    [rest] = [page.partition(f"\n## {title}\n")[2] for page in PAGES.values() if f"\n## {title}\n" in page]
    return re.split(r"^##", rest, maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("title", MODELS)
def test_the_table_of_a_route_has_each_of_its_fields_and_no_other(title: str) -> None:
    table = re.split(r"\n\n", section(title).partition("| field | type |")[2])[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]

    names = set(re.findall(r"`([\w.]+)`", " ".join(cells)))

    fields = {str(field.alias) for field in MODELS[title].model_fields.values()}
    if title == "POST /api/chat/openai":
        fields |= {f"chatSettings.{field.alias}" for field in ChatSettings.model_fields.values()}
    assert names == fields


def test_the_events_and_outcomes_of_the_log_are_those_that_are_written() -> None:
    log = PAGES["logs.md"].partition("\n## `call`")[2]
    outcomes, events = (
        set(re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)) for table in log.split("| event |")
    )
    files = [*(ROOT / "app").rglob("*.py"), *(ROOT / "server").rglob("*.py"), ROOT / "gunicorn.conf.py"]
    source = "".join(file.read_text(encoding="utf-8") for file in files)

    named = set(re.findall(r"`([\w.]+)`", " ".join(outcomes | events))) - {"outcome"}
    assert {"complete", "request.bug"} <= named
    # StoreGuard puts "gone" or "back" behind a prefix of its store's.
    known = {name for name in named if f'"{name}"' in source or f'"{name[:-4]}"' in source}
    assert named == known


def test_the_fields_of_a_request_line_are_those_that_are_written() -> None:
    table = PAGES["logs.md"].partition("| field | meaning |")[2].partition("\n\n")[0]
    source = (ROOT / "app/web/observation/request_line.py").read_text(encoding="utf-8")

    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    written = set(re.findall(r'^        "(\w+)": |fields\["(\w+)"\] = ', source, re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", " ".join(cells))) == {one or other for one, other in written}


def anchors_of(page: str) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


LINKING = sorted([*DOCS.glob("*.md"), *ROOT.glob("*.md")])


@each_row("page", LINKING)
def test_links_within_the_pages_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(
        r"\]\((?!https?:)([\w./-]*)(?:#([^)]+))?\)", page.read_text(encoding="utf-8")
    ):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors_of(linked.read_text(encoding="utf-8")), (target, anchor)


def test_every_page_is_linked_from_the_index_or_the_readme() -> None:
    index = PAGES["api.md"] + (ROOT / "README.md").read_text(encoding="utf-8")

    assert not [
        file.name for file in DOCS.glob("*.md") if f"{file.name})" not in index and f"{file.name}#" not in index
    ]


READER = next((text for kind, text in blocks_of(PAGES["streaming.md"]) if kind == "js"), "")
# BatchResults as no test server gives them: cut into single bytes, with comments, and with every kind of end.
CASES = """
const bytes = new TextEncoder();
const answerOf = (text, status = 200) => async () => new Response(new ReadableStream({
  start(controller) {
    for (const byte of bytes.encode(text)) controller.enqueue(Uint8Array.of(byte));
    controller.close();
  },
}), { status });
const read = async () => {
  const tokens = [];
  try {
    return { tokens, end: await streamChat({ message: "Hello" }, (token) => tokens.push(token)) };
  } catch (error) {
    return { tokens, thrown: error.message };
  }
};
const results = { real: await read() };
const begun = ': heartbeat\\n\\ndata: {"token":"Ж\\\\n\\\\n“"}\\n\\n: heartbeat\\n\\n';
const cases = {
  whole: answerOf(begun + 'data: {"done":true,"id":"1"}\\n\\n'),
  failed: answerOf(begun + 'data: {"error":"No.","code":"upstream_failed","requestId":"1"}\\n\\n'),
  cut: answerOf(begun + 'data: {"done":tr'),
  refused: answerOf('{"error":"Busy.","code":"upstream_rate_limited","requestId":"1"}', 503),
};
for (const [name, fake] of Object.entries(cases)) {
  globalThis.fetch = fake;
  results[name] = await read();
}
console.log(JSON.stringify(results));
"""


@needs_node
def test_the_reader_reads_a_stream_however_it_is_cut_and_however_it_ends(address: str, tmp_path: Path) -> None:
    script = tmp_path / "reader.mjs"
    script.write_text(READER.replace(PRINTED_ADDRESS, address) + CASES, encoding="utf-8")

    ran = subprocess.run(["node", script], capture_output=True, timeout=30, check=False)

    assert ran.returncode == 0, ran.stderr.decode()
    results = json.loads(ran.stdout)
    real = results.pop("real")
    assert "".join(real["tokens"]).startswith("[offline model]")
    assert real["end"]["finishReason"] == "stop"
    begun = ["Ж\n\n“"]
    assert results == {
        "whole": {"tokens": begun, "end": {"done": True, "id": "1"}},
        "failed": {"tokens": begun, "thrown": "No."},
        "cut": {"tokens": begun, "thrown": "The answer was cut off."},
        "refused": {"tokens": [], "thrown": "Busy."},
    }
