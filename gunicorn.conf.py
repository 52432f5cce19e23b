"""The whole server set-up; gunicorn finds this file by itself, so `gunicorn wsgi:app` is enough.

It is loaded in the process that watches over the workers, before gevent has changed the standard library in
them, and so imports nothing of the application: a TLS context made of classes from before would break.
"""

import os

from dotenv import load_dotenv

load_dotenv()


def _setting(name: str, default: str) -> str:
    return os.environ.get(name, "").strip() or default


host, port = _setting("HOST", "127.0.0.1"), _setting("PORT", "8000")
bind = _setting("BIND", f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
workers = int(_setting("WEB_CONCURRENCY", str(max(2, len(os.sched_getaffinity(0))))))

# gevent holds a thousand slow streams where threads hold a hundred; docs/performance.md has the figures.
worker_class = _setting("WORKER_CLASS", "gevent")
worker_connections = int(_setting("WORKER_CONNECTIONS", "2000"))
threads = int(_setting("THREADS", "64")) if worker_class == "gthread" else 1
if worker_class == "gthread":
    # A full worker must leave new requests to its siblings instead of queueing them behind its streams.
    worker_connections = threads

timeout = 30  # seconds without a sign of life from a worker; streams may last longer
graceful_timeout = 75  # REQUEST_TIMEOUT_S and a little, so that a reload cuts no answer off
keepalive = 5
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108, PTH112

# Who may say through X-Forwarded-Proto that a request came by https; TRUSTED_PROXIES says whose address counts.
forwarded_allow_ips = "127.0.0.1,::1"
forwarder_headers = ""
limit_request_line = 4094
limit_request_fields = 64
control_socket_disable = True

loglevel = "warning"


def post_worker_init(worker):  # noqa: ANN001, ANN201
    """Say once, when everything is up, what to open and what to try."""
    import gc

    # What is loaded by now stays; a full collection would walk all of it, in the middle of somebody's stream.
    gc.collect()
    gc.freeze()
    if worker.age == worker.cfg.workers:
        url = f"http://{bind}"
        chat = f"""curl {url}/api/chat -H 'Content-Type: application/json' -d '{{"message": "Hello"}}'"""
        print(f"Gatehouse is ready: open {url}/healthz, or try\n  {chat}", flush=True)
