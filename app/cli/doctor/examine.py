"""Run all checks independently: a check that crashes does not hide the findings of the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from app.cli.doctor import database, files, front, keys, machine, models, redis_server, timeouts
from app.cli.doctor.finding import Finding, fault, ok, warning
from app.config import Config, ConfigError, load_config

Check = partial[Iterator[Finding]]


def examine(
    root: Path,
    config: Config | None = None,
    *,
    problems: Sequence[str] = (),
    url: str | None = None,
    origin: str | None = None,
) -> Iterator[Finding]:
    """Yield the findings of all checks.

    Args:
        root: the directory of the installation, with `.env`.
        config: the settings; None reads them.
        problems: why the application could not be created with them.
        url: the site's public URL; None skips the checks from outside.
        origin: an origin whose pages should be able to call the API.
    """
    checks: list[Check] = [
        partial(machine.check_python, root),
        partial(machine.check_packages, root),
        partial(files.check_user, root),
        partial(files.check_env_file, root),
        partial(files.check_secret_files, root),
    ]
    yield from _run(checks)
    if config is None:
        try:
            config = load_config(root)
        except ConfigError as error:
            problems = error.problems
    for problem in problems:
        yield fault(
            "settings", problem, "Correct it in .env or the environment: .env.example explains each setting."
        )
    if config is None:
        if url:
            yield from _run([partial(front.check_url, url, origin, None)])
        return
    if not problems:
        yield ok("settings", "The settings are valid.")
    yield from _run(
        [
            partial(files.check_secrets, config),
            partial(files.check_folders, root, config),
            partial(machine.check_sqlite, root, config),
            partial(machine.check_limits, config),
            partial(database.check_database, root, config),
            partial(redis_server.check_redis, config),
            partial(keys.check_keys, config),
            partial(models.check_models, root, config),
            partial(timeouts.check_timeouts, config),
            partial(front.check_settings, config, origin),
        ],
        problems,
    )
    if url:
        yield from _run([partial(front.check_url, url, origin, config)])


def _run(checks: list[Check], problems: Sequence[str] = ()) -> Iterator[Finding]:
    for check in checks:
        try:
            yield from check()
        except Exception as error:
            name = check.func.__name__.removeprefix("check_")
            # The error's text is omitted: it could contain a URL with a password.
            sentence = f"This could not be checked ({type(error).__name__})."
            if problems and isinstance(error, ValueError):
                yield warning(name, sentence, "Correct the problems of the settings above first.")
            else:
                yield fault(name, sentence, "Please report this as a bug.")
