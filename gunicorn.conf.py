"""Configure gunicorn from the application's settings. gunicorn finds this file, so `gunicorn wsgi:app` is enough.

The arbiter loads it before gevent patches the standard library in the workers. So it must not import the application:
a TLS context of unpatched classes would break.
"""

import dataclasses
import gc
import importlib
import os
import platform
import sys
import types
from pathlib import Path

from server import server_log
from server.arbiter import command_line, loaded_settings


def _load_config():
    """Load the settings for this process and its workers, and the log's format, without the rest of the application.

    Return the settings, the package app.config, and the version.

    The variables of .env are not added to the environment, so that a reload does not see their old values.
    """
    root = Path(__file__).parent
    sys.modules["app"] = package = types.ModuleType("app")  # in place of app/__init__.py, which imports everything
    package.__path__ = [str(root / "app")]
    try:
        config = importlib.import_module("app.config")
        logs = importlib.import_module("app.runtime.logs.setup")
        version = importlib.import_module("app.runtime.version")
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "app"]:
            del sys.modules[name]
    try:
        in_file = config.read_env_file(root)
        loaded = config.load_config(root, in_file)
    except config.ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)
    server_log.use_handler(logs.make_handler(loaded.logs), loaded.log_level)
    loaded_settings.store(loaded, in_file)
    return loaded, config, version.find_version(root)


def _check_command_line():
    """Exit with a clear message if Gatehouse cannot run with the command line, before gunicorn fails on it."""
    if problem := command_line.find_problem(sys.argv[1:]):
        print(problem, file=sys.stderr)
        sys.exit(4)


if __name__ == "__config__":
    _check_command_line()
_config, _config_package, _version = _load_config()

_host = f"[{_config.host}]" if ":" in _config.host else _config.host
bind = _config.bind or f"{_host}:{_config.port}"
wsgi_app = command_line.APPLICATION
bind_name = "BIND" if _config.bind else "HOST"
_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
workers = _config.web_concurrency or max(2, _cores)

# gevent serves a thousand slow streams, threads only a hundred; docs/performance.md has the figures.
if _config.worker_class == "gevent":
    worker_class = "server.workers.gevent_worker.StreamWorker"
    worker_connections = _config.worker_connections
else:
    worker_class = "server.workers.thread_worker.StreamThreadWorker"
    # A full worker must leave new requests to other workers, not queue them behind its streams.
    threads = worker_connections = _config.threads

timeout = 30  # seconds without a heartbeat of a worker; streams may last longer
graceful_timeout = int(_config.request_timeout_s) + 15  # longer than any call, so that a reload interrupts none
keepalive = 5
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108, PTH112

# Only the application reads headers of proxies, as TRUSTED_PROXIES allows. gunicorn would answer 400 to two headers
# that disagree, and treat "HTTPS" or a list as http.
secure_scheme_headers = {}
forwarder_headers = ""
http_parser = "python"
limit_request_line = 4094
limit_request_fields = 64
control_socket_disable = True

loglevel = "warning"
logger_class = server_log.ServerLog


def on_starting(server):
    """Exit with a clear message if the server cannot start."""
    from server.arbiter.start_check import find_problem

    if problem := find_problem(server.cfg) or _prepare_metrics():
        print(problem, file=sys.stderr)
        if server.pidfile is not None:
            server.pidfile.unlink()
        sys.exit(4)
    # The SDK sends the name of the system to the upstream, for which Python runs `uname -p` once. Workers inherit the
    # result; otherwise each worker would fork for it, and its first call would take 20 ms longer.
    platform.platform()
    server_log.log_event(
        "server.starting",
        version=_version,
        pid=server.pid,
        bind=",".join(server.cfg.bind),
        workers=server.cfg.workers,
        worker_class=_config.worker_class,
    )


def on_reload(server):
    """Prepare the folder of metrics, if the reload has set METRICS_ALLOW."""
    server_log.log_event("server.reloading", version=_version, workers=server.cfg.workers)
    if problem := _prepare_metrics():
        server.log.error(problem)


def when_ready(server):
    """Wrap the arbiter's methods that spawn, stop and reload workers; warn if a development server is exposed."""
    from server.arbiter.boot_failures import survive_failures
    from server.arbiter.boot_signals import block_stops_in_forks
    from server.arbiter.start_check import guard_reload
    from server.arbiter.stop_notice import announce_stop

    survive_failures(server)
    block_stops_in_forks(server)
    announce_stop(server, is_behind_proxy=_config.trusted_proxies > 0)
    guard_reload(server)
    listening = ",".join(server.cfg.bind)
    listening = _config if listening == bind else dataclasses.replace(_config, bind=listening)
    if exposure := _config_package.describe_exposure(listening):
        server.log.warning(exposure)


def pre_fork(_server, _worker):
    """Freeze the garbage collector's objects, so that collections in a worker do not copy 4 MiB of shared memory."""
    gc.freeze()


def post_fork(_server, _worker):
    """Disable garbage collection while a worker loads: it would free nothing, and take an eighth of the start."""
    gc.disable()


def pre_request(_worker, _request):
    """Log nothing before a request: gunicorn would build a debug line that is never written."""


def post_worker_init(worker):
    """Start the services of a worker. The last of the initial workers prints how to try the server."""
    from app.runtime.log_throttle import LogBound
    from app.runtime.logs.uncaught import log_uncaught
    from server.arbiter.stop_notice import is_last

    log_uncaught()
    if _get_services(worker) is None:
        print("This application is not Gatehouse: start Gatehouse with `gunicorn wsgi:app`.", file=sys.stderr)
        sys.exit(4)
    worker.refusal_lines = LogBound()
    worker.arrivals = _build_arrivals(worker.note_refusal)
    _get_services(worker).start()
    _get_services(worker).lifecycle.watch(
        lambda: worker.alive,
        graceful_timeout_s=worker.cfg.graceful_timeout,
        is_quitting=lambda: worker.is_quitting,
        is_last=is_last,
    )
    # All objects loaded so far stay. Without freeze(), a full collection would visit them, in the middle of a stream.
    # A collection here would take 40 ms and free almost nothing.
    gc.freeze()
    gc.enable()
    _retain_freed_memory()
    if worker.age == worker.cfg.workers:
        _announce_ready(worker)


def on_exit(_server):
    """Log that the server has stopped."""
    server_log.log_event("server.stopped", version=_version)


def child_exit(_server, worker):
    """Record when a worker died, so that the calls of a killed one are charged by the time that they had."""
    from server.arbiter.death_notice import note_death

    note_death(worker.pid)
    server_log.log_event("worker.exited", version=_version, worker_pid=worker.pid)


def worker_exit(_server, worker):
    """Close the services of a worker, if it has loaded Gatehouse."""
    if (services := _get_services(worker)) is not None:
        services.close()


def find_unwritable():
    """Return a sentence for each folder that the server needs to write to and cannot."""
    return [*_config_package.find_unwritable(_config, Path(__file__).parent)]


def _prepare_metrics():
    from server.arbiter.metrics_folder import prepare_folder

    folder = Path(__file__).parent / _config.state_dir / "metrics"
    return prepare_folder(folder) if _config.metrics_allow else None


def _build_arrivals(note_refusal):
    from server.connections.arrival import ArrivalLimits, Arrivals

    share = max(1, worker_connections // 2)
    is_behind_proxy = _config.trusted_proxies > 0  # the proxy limits its clients itself: see deploy/nginx.conf
    limits = ArrivalLimits(
        request_s=_config.request_timeout_s,
        idle_s=keepalive,
        connections=None if is_behind_proxy else _config.address_connections or share,
        slow_requests=None if is_behind_proxy else min(_config.address_slow_requests, share),
    )
    return Arrivals(limits, note_refusal)


def _get_services(worker):
    application = getattr(worker, "wsgi", None)
    return getattr(application, "extensions", {}).get("gatehouse")


def _retain_freed_memory():
    """Let a worker retain up to 64 MB of freed memory.

    By default, glibc returns the memory of a large body to the kernel, which must clear new pages for the next one.
    That takes half the time of a large embeddings request.
    """
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(-3, 8 * 1024 * 1024)  # M_MMAP_THRESHOLD; larger blocks are returned at once
        mallopt(-1, 64 * 1024 * 1024)  # M_TRIM_THRESHOLD


def _announce_ready(worker):
    """Print that the server is ready once its database answers; until then, print what it waits for.

    Unavailable shared state is logged, but the server does not wait for it: meanwhile, each worker counts alone.
    """
    import contextlib
    import threading
    import time

    from app.storage.database.database import Contended, DatabaseUnavailable

    database = _get_services(worker).database
    with contextlib.suppress(DatabaseUnavailable):
        _get_services(worker).shared_state.check()

    def find_problem():
        try:
            database.check()
        except Contended:
            return None  # other writers are using it, so it can be written
        except DatabaseUnavailable as error:
            return error.advice or "see ledger.store_gone above"
        return None

    listening = worker.cfg.bind

    def wait():
        while worker.alive and find_problem():
            time.sleep(1)
        if worker.alive:
            _print_ready(listening)

    problem = find_problem()
    if problem is None:
        _print_ready(listening)
        return
    server_log.log_event("server.waiting", version=_version, reason=problem)
    if _config.log_format == "text":
        print(f"Gatehouse is not ready yet; it waits for the database of DATABASE_URL: {problem}.", flush=True)
    threading.Thread(target=wait, daemon=True).start()


def _print_ready(listening):
    server_log.log_event("server.ready", version=_version, bind=",".join(listening))
    if _config.log_format == "json":  # programs that parse the output need no advice
        return
    first = listening[0]
    path = first.removeprefix("unix:")
    host, _, port = first.rpartition(":")
    url = f"http://{'127.0.0.1' if host in ('', '0.0.0.0', '[::]') else host}:{port}"  # noqa: S104
    where = f"--unix-socket {path} http://localhost" if path != first else url
    chat = f"""curl {where}/api/chat -H 'Content-Type: application/json' -d '{{"message": "Hello"}}'"""
    offline = " with the offline model, as there is no OPENAI_API_KEY" if _config.is_offline else ""
    ready = "is ready" if path != first else f"is ready: open {url}/"
    if not _config.is_production:
        print("In development, pages on localhost and 127.0.0.1 may call it from any port.")
    print(f"Gatehouse {ready}{offline}. To try it:\n  {chat}", flush=True)
