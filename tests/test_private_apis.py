"""Parts of other packages that they do not promise: they are still there, do what we rely on, and are listed."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import redis
from gunicorn.arbiter import Arbiter
from gunicorn.http.message import Message
from gunicorn.workers.base import Worker
from gunicorn.workers.gthread import ThreadWorker

from app.config import ConfigError
from app.storage.shared_state.redis_connection import make_connection_pool
from tests.fakes.servers import ROOT
from tests.fakes.storage.redis_server import redis_server

LISTED = (
    (ROOT / "docs" / "architecture.md")
    .read_text(encoding="utf-8")
    .partition("\n## Private APIs of other packages\n")[2]
)
LISTED_NAMES = set(re.findall(r"\b_\w+", " ".join(re.findall(r"`([^`]+)`", LISTED))))
# Public in spite of their underscore: their packages document them.
DOCUMENTED = {"_replace"}
COMMENT = re.compile(r"# private API: ((?:.|\n\s*#)*?)(?:; guarded by|\n\s*[^#\s])")
DEFINITION = re.compile(r"\b(?:def|class) (_\w+)|(?:^ *|\bself\.)(_\w+)(?:: .+)? = ", re.MULTILINE)
FILES = [file for folder in ("app", "server") for file in sorted((ROOT / folder).rglob("*.py"))]


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def own_names_of(nodes: list[ast.AST]) -> set[str]:
    """Return the names that a file defines itself."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
    return names


def private_parts_in(file: Path) -> set[str]:
    """Return the private names that a file uses and does not define: modules, and members of classes it extends."""
    text = file.read_text(encoding="utf-8")
    nodes = [*ast.walk(ast.parse(text))]
    own = own_names_of(nodes)
    # What is overridden and never called here shows by its comment only.
    used = {name for comment in COMMENT.findall(text) for name in re.findall(r"\b_[a-z]\w*", comment)}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] not in ("app", "server"):
            names = [*node.module.split("."), *(alias.name for alias in node.names)]
            used |= {name for name in names if is_private(name)}
        elif isinstance(node, ast.Attribute) and is_private(node.attr):
            is_inherited = isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "super"
            if is_inherited or node.attr not in own:
                used.add(node.attr)
    return used - DOCUMENTED - {"_typeshed"}


def may_use_what_is_not_listed(file: Path) -> bool:
    """Whether a file has a private name that is not listed, and is not defined there for all that its text shows.

    Six of seven need not be parsed then.
    """
    text = file.read_text(encoding="utf-8")
    own = {name for defined in DEFINITION.findall(text) for name in defined}
    return not set(re.findall(r"(?<!\w)_[a-zA-Z]\w*", text)) <= own | LISTED_NAMES or "super()._" in text


def test_every_private_part_that_is_used_is_listed():
    files = [file for file in FILES if may_use_what_is_not_listed(file)]
    used = {name: str(file.relative_to(ROOT)) for file in files for name in private_parts_in(file)}

    assert not {name: file for name, file in used.items() if name not in LISTED_NAMES}


def test_psycopg_connects_and_waits_by_the_methods_that_are_overridden():
    assert inspect.isgeneratorfunction(psycopg.Connection._connect_gen.__func__)
    assert "cls._connect_gen(" in inspect.getsource(psycopg.Connection.connect)
    assert {"gen", "timeout"} <= set(inspect.signature(psycopg.Connection.wait).parameters)
    assert issubclass(psycopg.errors._WaitTimeout, psycopg.Error)


def test_an_answer_of_redis_that_came_late_is_read_all_the_same(tmp_path, monkeypatch):
    with redis_server(tmp_path) as server:
        pool = make_connection_pool(server.url)
        connection = pool.get_connection()
        late = [True]
        read = redis.Connection.read_response

        def read_response(self, *args, **options):
            if late:
                late.clear()
                while not self._parser.can_read(1):
                    pass
                raise redis.TimeoutError("Timeout reading from socket")
            return read(self, *args, **options)

        monkeypatch.setattr(redis.Connection, "read_response", read_response)
        connection.send_command("PING")

        assert connection.read_response() == b"PONG"
        pool.disconnect()


def test_gunicorns_arbiter_stops_its_workers_by_the_method_that_is_wrapped():
    assert list(inspect.signature(Arbiter.stop).parameters) == ["self", "graceful"]
    assert "self.stop(" in inspect.getsource(Arbiter.halt)
    source = inspect.getsource(Arbiter)
    assert all(f"self.{name} = " in source for name in ("reexec_pid", "master_pid", "systemd"))
    assert callable(Message.force_close)


def test_gunicorns_arbiter_forks_by_the_method_that_is_wrapped_and_workers_then_install_their_handlers():
    assert "self.spawn_worker()" in inspect.getsource(Arbiter.spawn_workers)
    forking = inspect.getsource(Arbiter.spawn_worker)
    assert forking.index("self.worker_age += 1") < forking.index("os.fork()")
    assert all(f"sys.exit(self.{name})" in forking for name in ("APP_LOAD_ERROR", "WORKER_BOOT_ERROR"))
    assert ConfigError.exit_status == Arbiter.APP_LOAD_ERROR
    booting = inspect.getsource(Worker.init_process)
    assert booting.index("self.init_signals()") < booting.index("self.load_wsgi()")


def test_gunicorns_threaded_worker_has_the_parts_that_are_used():
    assert list(inspect.signature(ThreadWorker.enqueue_req).parameters) == ["self", "conn"]
    assert list(inspect.signature(ThreadWorker.handle_request).parameters) == ["self", "req", "conn"]
    assert "self.nr_conns += 1" in inspect.getsource(ThreadWorker.accept)
    names = ("set_accept_enabled", "wait_for_and_dispatch_events", "is_parent_alive", "handle", "handle_exit")
    assert all(callable(getattr(ThreadWorker, name)) for name in names)
    assert list(inspect.signature(ThreadWorker._cap_keepalive).parameters) == ["self", "deadline"]
    loop, stopping = inspect.getsource(ThreadWorker.run).split("# Graceful shutdown")
    assert "self.notify()" in loop
    assert "self.notify()" in stopping
    assert "while self.nr_conns > 0" in stopping


GEVENT = """
from gevent import monkey; monkey.patch_all()
import inspect, gevent.socket
from gevent.server import StreamServer
from gunicorn.workers.base_async import AsyncWorker
from gunicorn.workers.ggevent import GeventWorker

assert GeventWorker.__mro__[1] is AsyncWorker
assert list(inspect.signature(AsyncWorker.handle).parameters) == ["self", "listener", "client", "addr"]
assert list(inspect.signature(AsyncWorker.handle_request).parameters) == ["self", "listener_name", "req", "sock", "addr"]
names = ("patch", "init_signals", "handle_exit", "handle_quit", "notify", "timeout_ctx")
assert all(callable(getattr(GeventWorker, name)) for name in names)
assert callable(StreamServer.do_read) and callable(StreamServer.do_handle) and callable(StreamServer.full)
assert isinstance(StreamServer.max_accept, int)
socket = gevent.socket.socket()
assert socket._sock.fileno() == socket.fileno()
assert socket._read_event.callback is None
assert callable(socket.hub.loop.timer(1.0, 1.0).again)
loop = socket.hub.loop
assert loop.pendingcnt == 0 and not loop._callbacks
loop.run_callback(print)
assert loop._callbacks
"""


def test_gevent_and_gunicorns_worker_have_the_parts_that_are_used():
    """In a process of its own, as gevent changes the one that it is in."""
    ran = subprocess.run([sys.executable, "-c", GEVENT], capture_output=True, timeout=60, check=False)

    assert ran.returncode == 0, ran.stderr.decode()
