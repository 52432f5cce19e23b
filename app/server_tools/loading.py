"""load_tools: import the tools at start, so that adding a file is all there is to do."""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
import sys
import traceback
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import ModuleType

from app.config import ConfigError, formats
from app.server_tools.declaring import DeclaredTool, find_tool
from app.server_tools.parameters import InvalidTool
from app.server_tools.toolbox import Toolbox

_BUILT_IN = "app.tools"
_NAME_FAULT = "its name, without .py, must be 1 to 64 letters, digits, underscores or hyphens."


def load_tools(folder: Path, allowed: Collection[str], *, must_exist: bool = False) -> Toolbox:
    """Import the tools of Gatehouse and those of the site.

    Args:
        folder: TOOLS_DIR. Each `*.py` in it is imported, except those whose names begin with `_` or a dot.
        allowed: ALLOWED_TOOLS.
        must_exist: whether a missing folder is a fault; otherwise it counts as empty.
    Raises:
        ConfigError: a file cannot be imported or declares what cannot be a tool, two tools have the same name, or an
            allowed one does not exist; all faults at once.
    """
    declared: dict[str, DeclaredTool] = {}
    file_of: dict[str, str] = {}
    faults: list[str] = []
    if must_exist and not folder.is_dir():
        faults.append(f"TOOLS_DIR: there is no folder {str(folder)!r}.")
    files = sorted(folder.glob("[!._]*.py"))
    faults += [f"TOOLS_DIR: {file.name}: {_NAME_FAULT}" for file in files if formats.check_name(file.stem)]
    for file, module_name in (*_built_in(), *_of_the_site(files)):
        try:
            module = importlib.import_module(module_name)
        except (Exception, SystemExit) as error:
            faults.append(f"{file}: {_describe(error)}")
            continue
        for one in _find_tools(module):
            if one.name in declared:
                faults.append(f"{file}: {one.name}: {file_of[one.name]} has a tool of this name as well.")
            declared[one.name], file_of[one.name] = one, file.removeprefix("TOOLS_DIR: ")
    faults += [f"ALLOWED_TOOLS: there is no tool {name!r}." for name in allowed if name not in declared]
    if faults:
        raise ConfigError(faults)
    return Toolbox(declared, frozenset(allowed))


def _built_in() -> Iterator[tuple[str, str]]:
    """Return each file of app/tools as faults call it, and the name of its module."""
    for found in pkgutil.iter_modules(importlib.import_module(_BUILT_IN).__path__):
        yield f"app/tools/{found.name}.py", f"{_BUILT_IN}.{found.name}"


def _of_the_site(files: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Return the same of the files of TOOLS_DIR, but for those whose names no module can have."""
    for file in files:
        if not formats.check_name(file.stem):
            yield f"TOOLS_DIR: {file.name}", f"{_package_of(file.parent)}.{file.stem}"


def _package_of(folder: Path) -> str:
    """Make a package of the folder, so that its files can import one another (`from ._shop import stock`)."""
    path = str(folder.resolve())
    # Of the folder's own, as no name that a site or a distribution may have for its packages.
    name = f"gatehouse_tools_{hashlib.sha256(path.encode()).hexdigest()[:12]}"
    package = sys.modules.setdefault(name, ModuleType(name, "The site's own tools."))
    package.__path__ = [path]
    return name


def _find_tools(module: ModuleType) -> list[DeclaredTool]:
    """Return those of a file's own, in its order, and not what it imports from another."""
    found = (find_tool(value) for value in vars(module).values())
    return [one for one in dict.fromkeys(found) if one is not None and one.function.__module__ == module.__name__]


def _describe(error: BaseException) -> str:
    if isinstance(error, InvalidTool):
        return str(error)
    told = f"cannot be imported: {type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):  # which says itself where it is
        return f"{told}."
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{told} ({where.filename}, line {where.lineno})."
