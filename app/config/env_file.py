"""Read the settings from .env and the environment, and report names in .env that are not settings."""

from __future__ import annotations

import difflib
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream
from dotenv.variables import Variable, parse_variables

from app.config.fields import ConfigError
from app.config.paths import find_unreadable
from app.config.settings import Config
from app.config.variables import list_file_names

_SETTINGS = {declared.name.upper() for declared in fields(Config)} | list_file_names(fields(Config))
# Variables that libraries read: proxies, certificates, PostgreSQL's client, the flask command, Python.
_OF_LIBRARIES = re.compile(r"(HTTP|HTTPS|ALL|NO)_PROXY|SSL_CERT_(FILE|DIR)|TZ|(PG|FLASK_|PYTHON)[A-Z_]+")
# Names that other programs use for the same setting. The most similar of our names would be a wrong suggestion.
_SYNONYMS = {
    "OPENAI_API_BASE": "OPENAI_BASE_URL",
    "OPENAI_API_BASE_URL": "OPENAI_BASE_URL",
    "OPENAI_API_HOST": "OPENAI_BASE_URL",
    "OPENAI_ORGANIZATION": "OPENAI_ORG_ID",
    "OPENAI_API_VERSION": "AZURE_OPENAI_API_VERSION",
    "OPENAI_MODEL": "CHAT_MODEL",
    "MODEL": "CHAT_MODEL",
    "AZURE_OPENAI_API_KEY": "OPENAI_API_KEY",
    "AZURE_OPENAI_KEY": "OPENAI_API_KEY",
    "CORS_ORIGINS": "ALLOWED_ORIGINS",
    "CORS_ALLOWED_ORIGINS": "ALLOWED_ORIGINS",
    "NODE_ENV": "APP_ENV",
    "ENV": "APP_ENV",
    "WORKERS": "WEB_CONCURRENCY",
}


def load_config(root: Path, in_file: Mapping[str, str] | None = None) -> Config:
    """Read the settings from `.env` in a directory and from the environment, which overrides the file.

    Args:
        root: the directory. Relative paths in the settings start from it.
        in_file: the variables of the file, if the caller has read it already.

    Raises:
        ConfigError: with all problems at once, those of the file first.
    """
    if in_file is None:
        in_file = read_env_file(root)
    problems = [*_find_unknown_names(in_file)]
    try:
        config = Config.from_env(file_values=in_file)
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from None
    problems += find_unreadable(config, root)
    if problems:
        raise ConfigError(problems)
    return config


def read_env_file(root: Path) -> dict[str, str]:
    """Return the variables that `.env` in a directory sets; none if the file does not exist.

    Raises:
        ConfigError: the file cannot be read, or a line does not have the form NAME=value.
    """
    path = root / ".env"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        raise ConfigError([".env is not encoded as UTF-8; save it as UTF-8."]) from None
    except OSError as error:
        raise ConfigError([f".env cannot be read ({error.strerror}): check its owner and its mode."]) from None
    bindings = list(parse_stream(io.StringIO(text)))
    problems = [
        f".env, line {_find_line(binding)}: it must have the form NAME=value."
        for binding in bindings
        if binding.error or (binding.key is not None and binding.value is None)
    ]
    problems += [*_find_emptied(bindings), *_find_undefined(bindings)]
    if problems:
        raise ConfigError(problems)
    return {name: value or "" for name, value in dotenv_values(stream=io.StringIO(text)).items()}


def _find_emptied(bindings: Sequence[Binding]) -> Iterator[str]:
    """Yield a problem for each variable that one line sets and a later line empties: the last line would win."""
    lines: dict[str, tuple[str, int]] = {}
    for binding in bindings:
        if binding.key is None:
            continue
        value, line = binding.value or "", _find_line(binding)
        before, line_before = lines.get(binding.key, ("", 0))
        if before and not value:
            yield f".env: {binding.key} is set in line {line_before} and emptied in line {line}; remove one of the two."
        lines[binding.key] = value, line


def _find_undefined(bindings: Sequence[Binding]) -> Iterator[str]:
    """Yield a problem for each reference to an undefined variable, which would expand to nothing."""
    known = {binding.key for binding in bindings}
    for binding in bindings:
        for atom in parse_variables(binding.value or ""):
            if not isinstance(atom, Variable) or atom.default is not None or atom.name in known:
                continue
            reference = f"${{{atom.name}}}"
            if os.path.expandvars(reference) == reference:  # the environment does not define it either
                yield f".env: {binding.key} contains {reference}, which is not set."


def _find_line(binding: Binding) -> int:
    """Return the line number of a binding. dotenv counts from the empty lines before it; skip those."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")


def _find_unknown_names(values: Mapping[str, str]) -> Iterator[str]:
    # Only the file is checked: the environment also has the variables of other programs.
    for name in values:
        if name in _SETTINGS or _OF_LIBRARIES.fullmatch(name.upper()):
            continue
        wanted = name.upper()
        nearest = _SYNONYMS.get(wanted) or next(iter(difflib.get_close_matches(wanted, _SETTINGS, 1, 0.7)), None)
        advice = f"did you mean {nearest}?" if nearest else ".env.example lists all settings."
        yield f".env: {name} is not a setting; {advice}"
