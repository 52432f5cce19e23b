"""Arguments of gunicorn with which Gatehouse cannot run, or not as they say: each is told with what to do."""

from __future__ import annotations

import pytest

from server.arbiter.command_line import find_problem

STARTED = "start Gatehouse with `gunicorn wsgi:app`."
FAULTS = {
    "-k sync": "remove -k, and set WORKER_CLASS to gevent or gthread.",
    "-k gevent": "set WORKER_CLASS=gevent in .env",
    "--worker-class=gthread": "set WORKER_CLASS=gthread in .env",
    "-k eventlet": "the worker class eventlet: remove -k,",
    "-k tornado wsgi:app": "the worker class tornado: remove -k,",
    "-k uvicorn.workers.UvicornWorker wsgi:app": "UvicornWorker: remove -k,",
    "-k egg:meinheld#gunicorn_worker wsgi:app": "remove -k,",
    "--preload": "remove --preload.",
    "--threads 4": "set WORKER_CLASS=gthread and THREADS=4 in .env, and remove --threads.",
    "app:app": STARTED,
    "app": STARTED,
    "app:create_app": STARTED,
    "app:create_app()": STARTED,
    "app.py": STARTED,
    "wsgi": STARTED,
    "wsgi.py": STARTED,
    "wsgi:application": STARTED,
    "nothing_here:app": STARTED,
    "nothing.here:app": STARTED,
    ".app": STARTED,
    ":app": STARTED,
}
FINE = [
    "",
    "wsgi:app",
    "-w 3 wsgi:app",
    "-b 127.0.0.1:9000",
    "-k server.workers.gevent_worker.StreamWorker",
    "json:loads",
]


@pytest.mark.parametrize(("arguments", "part"), FAULTS.items())
def test_what_cannot_work_is_told_with_what_to_do(arguments, part):
    problem = find_problem(arguments.split())

    assert problem is not None
    assert part in problem
    assert "\n" not in problem


@pytest.mark.parametrize("arguments", FINE)
def test_what_can_work_is_left_to_gunicorn(arguments):
    assert find_problem(arguments.split()) is None


def test_arguments_in_the_environment_count_and_the_command_line_overrides_them(monkeypatch):
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "-k eventlet --log-level 'debug'")

    assert "eventlet" in (find_problem(["wsgi:app"]) or "")
    assert "tornado" in (find_problem(["-k", "tornado"]) or "")
