"""How many calls and SQL statements one chat takes, and how many calls a stream of one chunk: figures that no neighbour on the machine can change.

`python -m bench.counts.calls TARGET PORT FOLDER` loads a target's application in this very process, without its web server,
and prints the counts. Calls are those of Python and C functions, as cProfile counts them; a C function counts for
the package that calls it.
"""

import cProfile
import gc
import importlib
import io
import os
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType
from typing import Any

import orjson

from bench.counts.statements import count_sql_statements
from bench.procs import BenchError
from bench.targets import PRODUCT, ROOT, TUTORIAL, Target, environment
from bench.traffic import ONE_CHUNK, Call, path_and_body

COUNTED = (TUTORIAL, PRODUCT)

_WARM_UP = 30
_REPEATS = 15
_TIMEOUT_S = 60.0
_CHAT = Call("chat")
# The packages of app/ that have a row of their own.
_PARTS = {
    "openai_service": "openai_service",
    "upstream_http": "openai_service",
    "billing/ledger": "ledger",
    "storage/database": "ledger",
    "models/pricing": "ledger",
    "storage/shared_state": "shared_state",
}
_PACKAGES = {"werkzeug": "werkzeug", "flask": "flask", "flask_cors": "flask", "httpx2": "httpx2", "openai": "sdk"}

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def count(target: Target, upstream_port: int, folder: Path) -> dict[str, float]:
    """The rows of a target: calls of one warm chat, in all and by package, its SQL statements, and calls of a stream."""
    folder.mkdir()
    command = [sys.executable, "-m", "bench.counts.calls", target.kind, str(upstream_port), str(folder)]
    env = environment(upstream_port, 0, folder) | target.settings
    try:
        done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, timeout=_TIMEOUT_S, check=True)
    except subprocess.TimeoutExpired:
        raise BenchError(f"counting the calls of {target.name} took too long") from None
    except subprocess.CalledProcessError as error:
        raise BenchError(f"{target.name}: {error.stderr.decode(errors='replace').strip()[-2000:]}") from None
    return orjson.loads(done.stdout)


def _load(kind: str, folder: Path) -> Wsgi:
    if kind == TUTORIAL:
        return importlib.import_module("bench.tutorial").app
    from app import create_app
    from app.config import Config
    from app.storage.shared_state import resilient

    resilient.RECENT_S = _TIMEOUT_S  # otherwise, timing determines how many calls find a fresh copy
    settings = os.environ | {"DATA_DIR": str(folder / "data"), "STATE_DIR": str(folder / "state")}
    return create_app(Config.from_env(settings))


class _Chat:
    """Sends the same chat to an application repeatedly, like a WSGI server."""

    def __init__(self, app: Wsgi, target: Target, call: Call = _CHAT) -> None:
        path, self._body = path_and_body(target.dialect, call)
        self._end = b"reply" if call.operation == "chat" else b'"done"'
        self._app = app
        self._environ = {
            "REQUEST_METHOD": "POST",
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(self._body)),
            "HTTP_HOST": "127.0.0.1:8000",
            "HTTP_ACCEPT": "*/*",
            **{f"HTTP_{name.upper()}": value for name, value in target.headers.items()},
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        self._status = ""

    def ask(self, around: Any = None) -> None:
        """Send the chat once, with the profiler enabled if there is one."""
        environ = {**self._environ, "wsgi.input": io.BytesIO(self._body)}
        app, start = self._app, self._start
        if around is not None:
            around.enable()
        answer = app(environ, start)
        content = b"".join(answer)
        getattr(answer, "close", tuple)()
        if around is not None:
            around.disable()
        if not self._status.startswith("200") or self._end not in content:
            raise BenchError(f"answered {self._status}: {content[:300]!r}")

    def _start(self, status: str, _headers: list[tuple[str, str]], _error: object = None) -> None:
        self._status = status


def _calls(chat: _Chat) -> Counter[str]:
    profile = cProfile.Profile()
    chat.ask(profile)
    counts: Counter[str] = Counter()
    in_python: Counter[str] = Counter()
    for entry in profile.getstats():
        if isinstance(entry.code, str):
            in_python[entry.code] += entry.callcount
            continue
        package = _package(entry.code)
        counts[package] += entry.callcount
        for called in entry.calls or ():
            if isinstance(called.code, str):
                counts[package] += called.callcount
                in_python[called.code] -= called.callcount
    counts["stdlib"] += sum(max(0, left) for left in in_python.values())  # called from C
    return counts


def _package(code: CodeType) -> str:
    path = Path(code.co_filename)
    if path.is_relative_to(ROOT / "app"):
        name = path.relative_to(ROOT / "app").as_posix()
        return next((row for part, row in _PARTS.items() if name.startswith(f"{part}/")), "app")
    if "site-packages" not in path.parts:
        return "bench" if path.is_relative_to(ROOT / "bench") else "stdlib"
    return _PACKAGES.get(path.parts[path.parts.index("site-packages") + 1], "others")


def _statements(kind: str, folder: Path) -> int:
    """Load the target again with connections that count statements. They would add to the function calls."""
    with count_sql_statements() as given:
        chat = _Chat(_load(kind, folder), Target(kind, kind))
        for _ in range(_WARM_UP):
            chat.ask()
        counts = []
        for _ in range(5):
            given.clear()
            chat.ask()
            counts.append(len(given))
    return min(counts)  # the others include clean-ups, which run once a second


def main(kind: str, folder: str) -> None:
    """Print the rows of this target, as JSON."""
    app = _load(kind, Path(folder))
    chat = _Chat(app, Target(kind, kind))
    for _ in range(_WARM_UP):
        chat.ask()
    gc.collect()
    gc.disable()
    counts = [_calls(chat) for _ in range(_REPEATS)]
    rows = {
        f"calls_{name}": statistics.median(each[name] for each in counts) for name in sorted(set().union(*counts))
    }
    rows["calls"] = statistics.median(each.total() for each in counts)
    if kind == PRODUCT:
        stream = _Chat(app, Target(kind, kind), Call("stream", model=ONE_CHUNK))
        for _ in range(_WARM_UP):
            stream.ask()
        rows["stream_calls"] = statistics.median(_calls(stream).total() for _ in range(_REPEATS))
        rows["statements"] = _statements(kind, Path(folder))
    os.write(1, orjson.dumps(rows))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[3])
