"""load_tools: every file of app/tools is imported at start, so that adding one is all there is to do."""

from __future__ import annotations

import importlib
import pkgutil
import traceback
from collections.abc import Collection
from types import ModuleType

from app.config import ConfigError
from app.server_tools.declaring import DeclaredTool, tool_of
from app.server_tools.parameters import ToolFault
from app.server_tools.toolbox import Toolbox

PACKAGE = "app.tools"


def load_tools(allowed: Collection[str]) -> Toolbox:
    """Import the site's tools.

    Args:
        allowed: ALLOWED_TOOLS.

    Raises:
        ConfigError: a file cannot be imported or declares what cannot be a tool, two tools have one name, or one that is
            allowed is not there; all faults at once.
    """
    declared: dict[str, DeclaredTool] = {}
    faults: list[str] = []
    for found in pkgutil.iter_modules(importlib.import_module(PACKAGE).__path__):
        try:
            module = importlib.import_module(f"{PACKAGE}.{found.name}")
        except Exception as error:
            faults.append(f"app/tools/{found.name}.py: {_told(error)}")
            continue
        for one in _declared_in(module):
            if one.name in declared:
                other = declared[one.name].function.__module__.rpartition(".")[2]
                faults.append(
                    f"app/tools/{found.name}.py: {one.name}: {other}.py has a tool of this name as well."
                )
            declared[one.name] = one
    faults += [f"ALLOWED_TOOLS: app/tools has no {name!r}." for name in allowed if name not in declared]
    if faults:
        raise ConfigError(faults)
    return Toolbox(declared, frozenset(allowed))


def _declared_in(module: ModuleType) -> list[DeclaredTool]:
    """Those of a file's own, in its order, and not what it imports from another."""
    found = (tool_of(value) for value in vars(module).values())
    return [one for one in dict.fromkeys(found) if one is not None and one.function.__module__ == module.__name__]


def _told(error: Exception) -> str:
    if isinstance(error, ToolFault):
        return str(error)
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"cannot be imported: {type(error).__name__}: {error} ({where.filename}, line {where.lineno})."
