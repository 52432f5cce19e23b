"""Read the settings from .env and the environment, and say what in .env is no setting."""

from __future__ import annotations

import difflib
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from app.config.fields import ConfigError
from app.config.paths import find_unreadable
from app.config.settings import Config
from app.config.variables import list_file_names

_SETTINGS = {declared.name.upper() for declared in fields(Config)} | list_file_names(fields(Config))
# What libraries read themselves: proxies, certificates, PostgreSQL's client, the flask command, Python.
_OF_LIBRARIES = re.compile(r"(HTTP|HTTPS|ALL|NO)_PROXY|SSL_CERT_(FILE|DIR)|TZ|(PG|FLASK_|PYTHON)[A-Z_]+")
# Names of other programs for the same thing, for which the nearest name would be wrong.
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


def load_config(root: Path) -> Config:
    """Read the settings from `.env` in a directory and from the environment, which overrides the file.

    Raises:
        ConfigError: with all problems at once, those of the file first.
    """
    values = _read_file(root)
    problems = [*_find_unknown_names(values)]
    try:
        config = Config.from_env(file_values=values)
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from None
    problems += find_unreadable(config, root)
    if problems:
        raise ConfigError(problems)
    return config


def _read_file(root: Path) -> dict[str, str]:
    """Return what `.env` in a directory sets; nothing if there is none.

    Raises:
        ConfigError: the file cannot be read, or a line is not of the form NAME=value.
    """
    path = root / ".env"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        raise ConfigError([".env is not a text in UTF-8; save it as UTF-8."]) from None
    except OSError as error:
        raise ConfigError([f".env cannot be read ({error.strerror}): check its owner and its mode."]) from None
    problems = [
        f".env, line {_find_line(binding.original.string, binding.original.line)}: it must have the form NAME=value."
        for binding in parse_stream(io.StringIO(text))
        if binding.error or (binding.key is not None and binding.value is None)
    ]
    if problems:
        raise ConfigError(problems)
    return {name: value or "" for name, value in dotenv_values(stream=io.StringIO(text)).items()}


def _find_line(text: str, first: int) -> int:
    """Return the number of a binding's line; the empty lines before it belong to it."""
    return first + text[: len(text) - len(text.lstrip())].count("\n")


def _find_unknown_names(values: Mapping[str, str]) -> Iterator[str]:
    # Only those of the file: in the environment are the names of other programs.
    for name in values:
        if name in _SETTINGS or _OF_LIBRARIES.fullmatch(name.upper()):
            continue
        wanted = name.upper()
        nearest = _SYNONYMS.get(wanted) or next(iter(difflib.get_close_matches(wanted, _SETTINGS, 1, 0.7)), None)
        advice = f"did you mean {nearest}?" if nearest else ".env.example lists all."
        yield f".env: {name} is not a setting; {advice}"
