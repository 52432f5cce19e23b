"""The whole server set-up; gunicorn finds this file by itself, so `gunicorn wsgi:app` is enough.

It is loaded in the process that watches over the workers, before gevent has changed the standard library in
them, and so imports nothing of the application: a TLS context made of classes from before would break.
"""

import importlib
import os
import sys
import types
from pathlib import Path

from dotenv import dotenv_values


def _load_config():
    """The application's settings, without the rest of the application: see app/config.

    .env is read and not put into the environment: the workers of a reload shall see what it says by then.
    """
    root = Path(__file__).parent
    sys.modules["app"] = package = types.ModuleType("app")  # in place of app/__init__.py, which imports everything
    package.__path__ = [str(root / "app")]
    try:
        config = importlib.import_module("app.config")
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "app"]:
            del sys.modules[name]
    environ = {**dotenv_values(root / ".env"), **os.environ}
    try:
        return config.Config.from_env({name: value or "" for name, value in environ.items()})
    except config.ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)


_config = _load_config()

_host = f"[{_config.host}]" if ":" in _config.host else _config.host
bind = _config.bind or f"{_host}:{_config.port}"
_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
workers = _config.web_concurrency or max(2, _cores)

# gevent holds a thousand slow streams where threads hold a hundred; docs/performance.md has the figures.
if _config.worker_class == "gevent":
    worker_class = "server.gevent_worker.StreamWorker"
    worker_connections = _config.worker_connections
else:
    worker_class = "gthread"
    # A full worker must leave new requests to its siblings instead of queueing them behind its streams.
    threads = worker_connections = _config.threads

timeout = 30  # seconds without a sign of life from a worker; streams may last longer
graceful_timeout = int(_config.request_timeout_s) + 15  # so that a reload cuts no answer off
keepalive = 5
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108, PTH112

# Who may say through X-Forwarded-Proto that a request came by https; TRUSTED_PROXIES says whose address counts.
forwarded_allow_ips = "127.0.0.1,::1"
forwarder_headers = ""
http_parser = "python"
limit_request_line = 4094
limit_request_fields = 64
control_socket_disable = True

loglevel = "warning"


def when_ready(server):
    """Let the workers know, when they are told to stop, whether others take their place."""
    from server.stop_notice import announce_stop

    announce_stop(server)


def pre_fork(_server, _worker):
    """Keep the workers' collections from writing to what they share with this process, which would copy it: 4 MiB."""
    import gc

    gc.freeze()


def post_worker_init(worker):
    """Make a worker ready for work; the last of the first ones says what to open and what to try."""
    import gc

    _services_of(worker).start()
    _services_of(worker).lifecycle.watch(lambda: worker.alive, graceful_timeout_s=worker.cfg.graceful_timeout)
    # What is loaded by now stays; a full collection would walk all of it, in the middle of somebody's stream.
    gc.collect()
    gc.freeze()
    _keep_freed_memory()
    if worker.age == worker.cfg.workers:
        _say_ready()


def worker_exit(_server, worker):
    """Close what the application has open, in a worker that got so far as to have one."""
    if getattr(worker, "wsgi", None) is not None:
        _services_of(worker).close()


def _services_of(worker):
    return worker.wsgi.extensions["gatehouse"]


def _keep_freed_memory():
    """Let a worker keep up to 64 MB that it has freed.

    glibc gives the memory of each body of megabytes back to the kernel, which then has to clear as many pages
    for the next one: half the time of a large batch of embeddings.
    """
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(-3, 32 * 1024 * 1024)  # M_MMAP_THRESHOLD, which the next line would otherwise leave at 128 kB
        mallopt(-1, 64 * 1024 * 1024)  # M_TRIM_THRESHOLD


def _say_ready():
    path = bind.removeprefix("unix:")
    where = f"--unix-socket {path} http://localhost" if path != bind else f"http://{bind}"
    chat = f"""curl {where}/api/chat -H 'Content-Type: application/json' -d '{{"message": "Hello"}}'"""
    offline = " with the offline model, as there is no OPENAI_API_KEY" if _config.is_offline else ""
    ready = "is ready" if path != bind else f"is ready: open http://{bind}/"
    print(f"Gatehouse {ready}{offline}. To try it:\n  {chat}", flush=True)
