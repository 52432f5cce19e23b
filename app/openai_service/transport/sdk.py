"""Imports the `openai` package with its 450 modules of types loaded on demand. Import it only from here.

The types take most of the import's time and memory, and are hardly used: Gatehouse parses answers as plain JSON.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any


class _TypesFinder(MetaPathFinder):
    """A finder that replaces the loader of `openai.types` and its packages with a lazy one."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module of `openai.types`; leave all other modules to the next finder."""
        if name != "openai.types" and not name.startswith("openai.types."):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if (
            spec is None
            or spec.submodule_search_locations is None
            or not isinstance(spec.loader, SourceFileLoader)
        ):
            return spec
        sources = _find_sources(spec.loader.get_data(spec.loader.path))
        if sources is not None:
            spec.loader = _LazyPackage(sources)
        return spec


class _LazyPackage(Loader):
    """A loader of a package that only re-exports names: each is imported when it is first read (PEP 562)."""

    def __init__(self, sources: dict[str, tuple[str, str]]) -> None:
        self._sources = sources

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:  # noqa: ARG002
        """Let Python create the module as usual."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Give the module a `__getattr__` that imports its names."""

        def load(name: str) -> Any:
            if name not in self._sources:
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            submodule, original = self._sources[name]
            value = getattr(importlib.import_module(submodule, module.__name__), original)
            setattr(module, name, value)
            return value

        vars(module).update(__getattr__=load, __all__=list(self._sources))


def _find_sources(source: bytes) -> dict[str, tuple[str, str]] | None:
    """Return the module and original name of each name that a package re-exports, or None if it does anything else."""
    sources = {}
    for statement in ast.parse(source).body:
        if not isinstance(statement, ast.ImportFrom):
            return None
        if statement.module == "__future__":
            continue
        if statement.level != 1 or statement.module is None:
            return None
        for alias in statement.names:
            if alias.name == "*":
                return None
            sources[alias.asname or alias.name] = f".{statement.module}", alias.name
    return sources


sys.meta_path.insert(0, _TypesFinder())

import openai  # noqa: E402
from openai._models import FinalRequestOptions  # noqa: E402

__all__ = ["FinalRequestOptions", "openai"]
