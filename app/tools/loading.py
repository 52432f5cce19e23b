"""Import the built-in tools and those of TOOLS_DIR at start."""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
import sys
import traceback
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType

from app.config import ConfigError, formats
from app.tools.declaring import DeclaredTool, find_tool
from app.tools.parameters import InvalidTool
from app.tools.toolbox import Toolbox

_BUILT_IN = "app.tools.builtin"
_INVALID_NAME = "its name, without .py, must be 1 to 64 letters, digits, underscores or hyphens."


def load_tools(folder: Path, allowed: Collection[str]) -> Toolbox:
    """Import the built-in tools and the site's own.

    Args:
        folder: TOOLS_DIR; a missing folder counts as empty. Each `*.py` file is imported, unless its name begins
            with `_` or a dot.
        allowed: ALLOWED_TOOLS.

    Returns:
        all tools, and the names of those that are allowed.

    Raises:
        ConfigError: a file cannot be imported or declares an invalid tool, two tools have the same name, or an
            allowed tool does not exist. It lists all problems at once.
    """
    declared: dict[str, DeclaredTool] = {}
    file_of: dict[str, str] = {}
    problems: list[str] = []
    files = sorted(folder.glob("[!._]*.py"))
    problems += [f"TOOLS_DIR: {file.name}: {_INVALID_NAME}" for file in files if formats.check_name(file.stem)]
    for file, module_name in (*_list_built_in(), *_iter_site_files(files)):
        try:
            module = importlib.import_module(module_name)
        except (Exception, SystemExit) as error:
            problems.append(f"{file}: {_describe_error(error)}")
            continue
        for tool in _find_tools(module):
            if tool.name in declared:
                problems.append(f"{file}: {tool.name}: {file_of[tool.name]} has a tool with this name too.")
            declared[tool.name], file_of[tool.name] = tool, file.removeprefix("TOOLS_DIR: ")
    problems += [f"ALLOWED_TOOLS: there is no tool {name!r}." for name in allowed if name not in declared]
    if problems:
        raise ConfigError(problems)
    return Toolbox(declared, frozenset(allowed))


@cache
def _list_built_in() -> tuple[tuple[str, str], ...]:
    """Return the path of each file of app/tools/builtin, for error messages, and the name of its module."""
    names = [found.name for found in pkgutil.iter_modules(importlib.import_module(_BUILT_IN).__path__)]
    return tuple((f"app/tools/builtin/{name}.py", f"{_BUILT_IN}.{name}") for name in names)


def _iter_site_files(files: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Yield the file for error messages and the module name of each file of TOOLS_DIR with a valid name."""
    for file in files:
        if not formats.check_name(file.stem):
            yield f"TOOLS_DIR: {file.name}", f"{_make_package(file.parent)}.{file.stem}"


def _make_package(folder: Path) -> str:
    """Make a package of the folder, so that its files can import each other, and return its name."""
    path = str(folder.resolve())
    # Derived from the path, so that it differs from the names of other packages.
    name = f"gatehouse_tools_{hashlib.sha256(path.encode()).hexdigest()[:12]}"
    package = sys.modules.setdefault(name, ModuleType(name, "The site's own tools."))
    package.__path__ = [path]
    return name


def _find_tools(module: ModuleType) -> list[DeclaredTool]:
    """Return the tools that a module declares, in its order, without those that it imports."""
    found = (find_tool(value) for value in vars(module).values())
    return [tool for tool in dict.fromkeys(found) if tool and tool.function.__module__ == module.__name__]


def _describe_error(error: BaseException) -> str:
    if isinstance(error, InvalidTool):
        return str(error)
    description = f"cannot be imported: {type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):  # its text contains the line
        return f"{description}."
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{description} ({where.filename}, line {where.lineno})."
