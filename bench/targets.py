"""The servers that are measured, and how each is started."""

import os
import shutil
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path

from bench.procs import BenchError, Process
from bench.traffic import GATEHOUSE, MODELS, OPENAI, ORIGIN

ROOT = Path(__file__).resolve().parent.parent
WORKERS = 2

DIRECT = "direct"
NGINX = "nginx"
TUTORIAL = "tutorial"
PRODUCT = "gatehouse"
RESPONSES = "responses"
"""Gatehouse again, with an upstream that it calls over /responses."""
NAMES = (DIRECT, NGINX, TUTORIAL, PRODUCT, RESPONSES)

_NGINX_CONF = """
daemon off;
{user}
worker_processes {workers};
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 64m;
    client_body_buffer_size 1m;
    keepalive_requests 100000000;
    upstream openai {{
        server 127.0.0.1:{upstream_port};
        keepalive 256;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://openai;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Target:
    """A server to measure.

    name heads its column, kind is one of NAMES, settings go to its environment.
    """

    name: str
    kind: str
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def dialect(self) -> str:
        """The form of its requests."""
        return OPENAI if self.kind in (DIRECT, NGINX) else GATEHOUSE

    @property
    def is_python(self) -> bool:
        """Whether its start is timed, and it needs a warm-up."""
        return self.dialect == GATEHOUSE

    @property
    def headers(self) -> dict[str, str]:
        """The headers that a browser sends for a page of another origin."""
        return {"Origin": ORIGIN} if self.is_python else {}

    def why_not(self) -> str | None:
        """The reason why it cannot be measured on this machine; None if it can."""
        if self.kind == NGINX and not shutil.which("nginx"):
            return "nginx is not installed"
        if self.kind == PRODUCT and not (ROOT / "wsgi.py").exists():
            return "there is no wsgi.py"
        return None

    def start(self, upstream_port: int, port: int, folder: Path) -> Process:
        """Start it on this port, with its files and its log in a separate folder."""
        folder.mkdir()
        command = {NGINX: _nginx, TUTORIAL: _tutorial, PRODUCT: _gatehouse}[self.kind](upstream_port, port, folder)
        env = environment(upstream_port, port, folder) | self.settings
        cwd = ROOT if self.kind == PRODUCT else folder
        return Process(self.name, command, folder / "log", env=env, cwd=cwd)


def start_upstream(folder: Path) -> tuple[Process, int]:
    """Start the fake OpenAI, and wait for its port."""
    folder.mkdir()
    log = folder / "log"
    process = Process(
        "the fake upstream", [sys.executable, "-m", "bench.upstream.server"], log, env=_inherited(), cwd=ROOT
    )
    while not log.read_text().endswith("\n"):
        if process.has_ended():
            raise BenchError(f"the fake upstream did not start\n{process.log_tail()}")
    return process, int(log.read_text())


def free_port() -> int:
    """Return a free port of the loopback."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def _nginx(upstream_port: int, port: int, folder: Path) -> list[str]:
    # As root, nginx would run its workers as the user "nobody", who cannot access the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    conf = _NGINX_CONF.format(user=user, workers=WORKERS, folder=folder, upstream_port=upstream_port, port=port)
    (folder / "nginx.conf").write_text(conf)
    return ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def _tutorial(_upstream_port: int, port: int, _folder: Path) -> list[str]:
    server = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", str(WORKERS)]
    return [*server, "--worker-class", "gthread", "--threads", "64", "bench.tutorial:app"]


def _gatehouse(_upstream_port: int, _port: int, _folder: Path) -> list[str]:
    return [sys.executable, "-m", "gunicorn", "wsgi:app"]


def _inherited() -> dict[str, str]:
    """Return only the variables that a process needs, so that the user's settings do not affect the measures."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return inherited | {"PYTHONPATH": str(ROOT)}


def environment(upstream_port: int, port: int, folder: Path) -> dict[str, str]:
    return _inherited() | {
        "OPENAI_API_KEY": "sk-bench",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream_port}/v1",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "WEB_CONCURRENCY": str(WORKERS),
        "APP_ENV": "development",
        "ALLOWED_ORIGINS": ORIGIN,
        "CHAT_MODEL": "bench",
        "EMBEDDING_MODEL": "bench",
        "ALLOWED_MODELS": ",".join(MODELS),
        "DATABASE_URL": f"sqlite:///{folder}/bench.sqlite3",
        # The limits are counted as by default, but never reached, although all the load comes from one visitor.
        "RATE_LIMIT": "10000000/minute",
        "MAX_CONCURRENT_STREAMS": "10000",
    }
