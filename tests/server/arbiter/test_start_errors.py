"""Mistakes at the first start: each is answered in a line or two that say what to do, without a traceback."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.servers import FakeUpstream, Gunicorn, environment, exchange, free_port, stop, wait_until

pytestmark = pytest.mark.servers

ROOT = Path(__file__).parents[3]
GUNICORN = str(Path(sys.executable).with_name("gunicorn"))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory like the repository's, with an .env of its own."""
    for name in ("wsgi.py", "gunicorn.conf.py"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("app", "server", "prompts", "schemas", "tools"):
        if (ROOT / name).is_dir():
            (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "instance").mkdir()
    return tmp_path


def clean_environment(**settings: str) -> dict[str, str]:
    """The environment without any setting, so that .env counts."""
    return {name: value for name, value in environment(**settings).items() if value} | {"WEB_CONCURRENCY": "1"}


def run(site: Path, *command: str, cwd: Path | None = None, **settings: str) -> str:
    """Run a command that must fail, and return what it says."""
    done = subprocess.run(
        command,
        cwd=cwd or site,
        env=clean_environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    text = done.stdout + done.stderr
    assert done.returncode not in (0, -9), text
    assert "Traceback" not in text
    return text


@pytest.mark.parametrize("kind", ["gthread", "gevent"])
def test_a_kind_of_worker_on_the_command_line_is_told_as_a_setting(site: Path, kind: str) -> None:
    text = run(site, GUNICORN, "-k", kind, "wsgi:app", PORT=str(free_port()))

    assert text == (
        f"Gatehouse has its own worker classes: set WORKER_CLASS={kind} in .env, and remove -k {kind}.\n"
    )


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["-k", "sync"], "remove -k,"),
        (["-k", "eventlet"], "the worker class eventlet: remove -k,"),
        (["--preload"], "--preload."),
    ],
)
def test_options_that_cannot_work_are_told_in_one_line(site: Path, options: list[str], part: str) -> None:
    text = run(site, GUNICORN, *options, "wsgi:app", PORT=str(free_port()))

    assert part in text
    assert text.count("\n") == 1


def test_another_directory_is_told_with_where_to_start(
    site: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    text = run(site, GUNICORN, "--chdir", str(site), "-b", f"127.0.0.1:{free_port()}", "wsgi:app", cwd=elsewhere)

    assert f"start it in {site}, or with -c {site}/gunicorn.conf.py." in text


@pytest.mark.parametrize("program", [["wsgi.py"], ["-m", "app"], ["app"]])
def test_what_is_no_program_says_how_the_server_is_started(site: Path, program: list[str]) -> None:
    assert "`make run`" in run(site, sys.executable, *program)


def test_another_application_is_told_with_the_name_of_ours(site: Path) -> None:
    text = run(site, GUNICORN, "app:app")

    assert text == "There is no application app:app here: start Gatehouse with `gunicorn wsgi:app`.\n"


def test_a_folder_that_cannot_be_written_is_told_before_the_workers_start(site: Path) -> None:
    text = run(site, GUNICORN, STATE_DIR="wsgi.py", DATA_DIR="/proc/none")

    assert [line.partition(":")[0] for line in text.splitlines()] == ["STATE_DIR", "DATA_DIR"]


def test_a_busy_port_is_told_at_once_and_in_one_line(site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        text = run(site, GUNICORN, "wsgi:app", PORT=str(port))

    assert text.startswith(f"127.0.0.1:{port} is already in use")
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"HOST": "192.0.2.1"}, "HOST=192.0.2.1 is not an address"),
        ({"BIND": "192.0.2.1:8000"}, "BIND: 192.0.2.1 is not an address"),
        ({"BIND": "unix:/nowhere/x.sock"}, "no folder /nowhere"),
        ({"BIND": f"unix:{__file__}"}, "exists and is not a socket"),
    ],
)
def test_an_address_of_another_machine_is_told(site: Path, settings: dict[str, str], part: str) -> None:
    text = run(site, GUNICORN, "wsgi:app", PORT=str(free_port()), **settings)

    assert part in text
    assert text.count("\n") == 1


def test_a_fault_in_env_is_told_once(site: Path) -> None:
    (site / ".env").write_text("CHAT_MODLE=x\nOPENAI_BASE_URL=https://a.example/v1/chat/completions\n")

    lines = run(site, GUNICORN, "wsgi:app").splitlines()

    assert lines == [
        "Gatehouse cannot start with these settings:",
        "  - .env: CHAT_MODLE is not a setting; did you mean CHAT_MODEL?",
        "  - OPENAI_BASE_URL ends in a route, /chat/completions: remove it, as each request adds its own.",
    ]


@contextlib.contextmanager
def serving(site: Path) -> Iterator[Gunicorn]:
    with (site / "log").open("wb") as log:
        process = subprocess.Popen(
            [GUNICORN, "wsgi:app"], cwd=site, env=clean_environment(), stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield Gunicorn(process, site / "log")
    finally:
        stop(process, signal.SIGQUIT)


def test_ready_is_said_when_the_database_answers_and_a_reload_with_a_fault_changes_nothing(site: Path) -> None:
    port = free_port()
    (site / "key").write_text("sk-first\n")
    (site / "later").write_text("in place of the folder")
    with FakeUpstream() as openai, contextlib.ExitStack() as stack:
        settings = (
            f"PORT={port}\nDATABASE_URL=sqlite:///later/gatehouse.sqlite3\n"
            f"OPENAI_BASE_URL={openai.url}\nOPENAI_API_KEY_FILE={site}/key\n"
        )
        (site / ".env").write_text(settings)
        server = stack.enter_context(serving(site))
        wait_until(lambda: "is not ready yet" in server.log(), "what it waits for")
        assert "is ready" not in server.log()
        (site / "later").unlink()
        (site / "later").mkdir()
        wait_until(lambda: "is ready" in server.log(), "that it is ready")

        workers = server.workers()
        with socket.create_server(("127.0.0.1", 0)) as busy:
            faults = {
                "CHAT_MODLE=x\n": "did you mean CHAT_MODEL?",
                "TOOLS_DIR=nowhere\n": "TOOLS_DIR",
                f"PORT={busy.getsockname()[1]}\n": "is already in use",
                "SECRET_KEY_FILE=nowhere\n": "SECRET_KEY_FILE: the file cannot be read (No such file",
                "DATABASE_URL=mysql://u:canary@db.example/g\n": "DATABASE_URL must begin with",
                "OPENAI_API_KEYS=a b\n": "OPENAI_API_KEYS contains a space",
            }
            for fault, part in faults.items():
                (site / ".env").write_text(settings + fault)
                server.signal(signal.SIGHUP)
                wait_until(lambda part=part: part in server.log(), f"why it is not reloaded: {part}")
        assert server.log().count("The reload is refused") == len(faults)
        assert server.workers() == workers
        with exchange(port, "POST", "/api/chat", {"message": "Hello"}) as response:
            assert json.loads(response.read())["reply"]
        assert _last_key(port, openai) == "Bearer sk-first"

        # What a killed worker is replaced by has the old settings too, and does not end the server.
        (site / ".env").write_text(f"{settings}CHAT_MODLE=x\n")
        (site / "key").unlink()
        _kill_worker(server)
        assert _last_key(port, openai) == "Bearer sk-first"

        (site / "key").write_text("sk-second\n")
        (site / ".env").write_text(settings)
        server.signal(signal.SIGHUP)
        wait_until(lambda: server.workers() and workers.isdisjoint(server.workers()), "new workers")
        wait_until(lambda: _last_key(port, openai) == "Bearer sk-second", "the key that is in its file now")
        assert not server.faults()
        assert "canary" not in server.log()


def test_a_worker_that_cannot_be_replaced_is_tried_again_and_ends_no_server(site: Path) -> None:
    port = free_port()
    own = site / "own"
    own.mkdir()
    (site / ".env").write_text(f"PORT={port}\nPROMPTS_DIR=own\nLOG_FORMAT=json\n")
    with serving(site) as server:
        wait_until(lambda: "server.ready" in server.log(), "that it is ready")
        (own / "half.toml").write_text("text = [")
        _kill_worker(server)
        wait_until(lambda: "half.toml: is not valid TOML" in server.log(), "why there is no other worker")
        (own / "half.toml").unlink()
        wait_until(lambda: _can_chat(port), "a worker, once the fault is mended")

        lines = [json.loads(line) for line in server.log().splitlines()]
        assert [line["level"] for line in lines if line["event"] == "server.worker_failed"] == ["ERROR"]
        assert server.process.poll() is None


def _kill_worker(server: Gunicorn) -> None:
    [killed] = server.workers()
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: killed not in server.workers(), "that it has ended")


def _can_chat(port: int) -> bool:
    try:
        with exchange(port, "POST", "/api/chat", {"message": "Hello"}) as response:
            return response.status == 200
    except OSError:
        return False


def _last_key(port: int, openai: FakeUpstream) -> str:
    with exchange(port, "POST", "/api/chat", {"message": "Hello"}) as response:
        response.read()
    return {name.lower(): value for name, value in openai.received[-1].headers.items()}["authorization"]
