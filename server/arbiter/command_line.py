"""Refuse arguments on gunicorn's command line that Gatehouse cannot run with, before gunicorn uses them."""

from __future__ import annotations

import importlib.util
import os
import shlex
from collections.abc import Sequence

from gunicorn.config import Config

APPLICATION = "wsgi:app"
_OUR_WORKERS = ("server.workers.gevent_worker.StreamWorker", "server.workers.thread_worker.StreamThreadWorker")


def find_problem(arguments: Sequence[str]) -> str | None:
    """Return why Gatehouse cannot run with these arguments; None if there is no known problem.

    Args:
        arguments: of the command line. They override those of GUNICORN_CMD_ARGS, which are checked as well.
    """
    given = Config().parser().parse_args([*shlex.split(os.environ.get("GUNICORN_CMD_ARGS", "")), *arguments])
    return (
        _check_worker(given.worker_class)
        or _check_threads(given.threads)
        or _check_preload(given.preload_app)
        or _check_application(next(iter(given.args), APPLICATION))
    )


def _check_worker(kind: str | None) -> str | None:
    if kind is None or kind in _OUR_WORKERS:
        return None
    if kind in ("gthread", "gevent"):
        return f"Gatehouse has its own worker classes: set WORKER_CLASS={kind} in .env, and remove -k {kind}."
    return (
        f"Gatehouse cannot run with the worker class {kind}: remove -k, and set WORKER_CLASS to gevent or gthread."
    )


def _check_threads(number: int | None) -> str | None:
    if number is None:
        return None
    return (
        f"The number of threads is a setting: set WORKER_CLASS=gthread and THREADS={number} in .env, and remove"
        " --threads."
    )


def _check_preload(is_requested: bool | None) -> str | None:
    if not is_requested:
        return None
    return "Gatehouse cannot be loaded before its workers are forked: remove --preload."


def _check_application(uri: str) -> str | None:
    """Check the name of the application. The site's own module may import ours and name it differently."""
    if uri == APPLICATION:
        return None
    module = uri.partition(":")[0]
    root = module.partition(".")[0]
    try:
        is_own = root not in ("app", "wsgi", "server") and importlib.util.find_spec(root) is not None
    except (ImportError, ValueError):
        is_own = False
    if is_own and not module.endswith(".py"):
        return None
    return f"There is no application {uri} here: start Gatehouse with `gunicorn {APPLICATION}`."
