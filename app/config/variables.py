"""Parse environment variables by the types of their settings, and read secrets from files.

Containers and systemd provide secrets as files: OPENAI_API_KEY_FILE is the path of the file with OPENAI_API_KEY.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field
from pathlib import Path
from typing import Any

from app.config.origins import parse_hosts, parse_origins
from app.config.parsing import find_parser, parse_lines

_SUFFIX = "_FILE"
_MAX_BYTES = 64 * 1024

_PARSERS: dict[str, Callable[[str], object]] = {
    "allowed_origins": parse_origins,
    "trusted_hosts": parse_hosts,
    "log_level": str.upper,
    "openai_api_keys": parse_lines,
    "secret_key_fallbacks": parse_lines,
}


def parse_values(
    environ: Mapping[str, str], settings: Iterable[Field[Any]]
) -> tuple[dict[str, object], list[str]]:
    """Return the parsed values of all variables that are not empty, and a problem for each that is invalid."""
    values: dict[str, object] = {}
    problems = []
    for declared in settings:
        value = environ.get(declared.name.upper(), "").strip()
        if not value:
            continue
        try:
            values[declared.name] = _PARSERS.get(declared.name, find_parser(str(declared.type)))(value)
        except ValueError as error:
            problems.append(f"{declared.name.upper()} {error}")
    return values, problems


def list_file_names(settings: Iterable[Field[Any]]) -> set[str]:
    """Return the names of the variables that may contain the path of a file: one for each secret."""
    return {f"{declared.name.upper()}{_SUFFIX}" for declared in settings if not declared.repr}


def read_secret_files(
    environ: Mapping[str, str], settings: Iterable[Field[Any]]
) -> tuple[dict[str, str], list[str]]:
    """Return the secrets from files by setting name, and a problem for each file that cannot be used.

    A final line break is not part of a secret. No problem contains any of a file's content.
    """
    secrets: dict[str, str] = {}
    problems = []
    for variable in sorted(list_file_names(settings)):
        path = environ.get(variable, "").strip()
        if not path:
            continue
        name = variable.removesuffix(_SUFFIX)
        if environ.get(name, "").strip():
            problems.append(f"{variable}: {name} is set as well; set only one of the two.")
            continue
        try:
            secrets[name] = _read(Path(path))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            problems.append(
                f"{variable}: the file cannot be read ({reason}): check its path, its owner and its mode."
            )
    return secrets, problems


def _read(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ValueError("it is too large for a secret")
    try:
        text = data.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("it is not encoded as UTF-8") from None
    if not text.strip():
        raise ValueError("it is empty")
    return text
