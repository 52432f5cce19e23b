"""Load the prompts of a folder, one TOML file each, and check them."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.config import ConfigError, formats
from app.prompts.prompt import Prompt


def read_prompts(folder: Path, *, tools: Collection[str], schemas: Collection[str]) -> dict[str, Prompt]:
    """Load all *.toml files of a folder. Hidden files are ignored, since editors create them.

    Args:
        folder: PROMPTS_DIR. A missing folder counts as empty.
        tools: the names of the tools that a prompt may use.
        schemas: the names of the schemas that a prompt may use.

    Returns:
        the prompts by name (the file's name without `.toml`), in alphabetical order.

    Raises:
        ConfigError: lists all problems, each with the name of its file.
    """
    prompts: dict[str, Prompt] = {}
    problems: list[str] = []
    for path in sorted(folder.glob("[!.]*.toml")):
        try:
            prompt = Prompt.model_validate(_load_table(path))
        except (OSError, ValueError) as error:
            problems += [f"{path.name}: {problem}" for problem in _find_problems(error)]
            continue
        prompts[path.stem] = prompt
        problems += [
            f"{path.name}: {problem}" for problem in _find_unknown_names(path.stem, prompt, tools, schemas)
        ]
    if problems:
        raise ConfigError([f"PROMPTS_DIR: {problem}" for problem in problems])
    return prompts


def _load_table(path: Path) -> dict[str, Any]:
    # Some editors on Windows write a byte order mark, which TOML does not allow.
    return tomllib.loads(path.read_text(encoding="utf-8-sig"))


def _find_problems(error: OSError | ValueError) -> list[str]:
    if isinstance(error, ValidationError):
        each = error.errors(include_url=False, include_input=False, include_context=False)
        return [_format_problem(one["loc"], one["type"], one["msg"]) for one in each]
    if isinstance(error, tomllib.TOMLDecodeError):
        return [f"is not valid TOML: {error}."]
    if isinstance(error, UnicodeDecodeError):
        return ["is not in UTF-8."]
    return [f"cannot be read: {error.strerror}." if isinstance(error, OSError) else "cannot be read."]


def _format_problem(location: tuple[int | str, ...], kind: str, message: str) -> str:
    path = ".".join(str(part) for part in location if part != "[key]")
    if kind == "extra_forbidden":
        return f"there is no key {path}."
    if kind == "missing":
        return f"the key {path} is missing."
    if kind == "string_pattern_mismatch":
        return f"{path}: must consist of letters, digits and underscores, and not begin with a digit."
    message = message.removeprefix("Value error, ").removeprefix("Input ").rstrip(".")
    return f"{path}: {message}." if path else f"{message}."


def _find_unknown_names(name: str, prompt: Prompt, tools: Collection[str], schemas: Collection[str]) -> list[str]:
    problems = [f"tools: there is no tool {tool!r}." for tool in prompt.tools or () if tool not in tools]
    if prompt.answer_schema is not None and prompt.answer_schema not in schemas:
        problems.append(f"schema: there is no schema {prompt.answer_schema!r} in SCHEMAS_DIR.")
    if formats.check_name(name):
        problems.append("a prompt's name has 1 to 64 letters, digits, underscores or hyphens.")
    return problems
