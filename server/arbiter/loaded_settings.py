"""Hand each worker the settings that the arbiter has loaded, whatever `.env` says by then.

So a worker that replaces a killed one is like the others, also while somebody writes `.env`, or after a reload was
refused for a fault in it. Only plain values are kept: the arbiter keeps no module of the application, so that a reload
loads its new code.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """What was loaded.

    Attributes:
        values: of the settings, by the names of their fields.
        in_file: all variables of `.env`, some of which are for libraries.
    """

    values: Mapping[str, Any]
    in_file: Mapping[str, str]

    def fill_environment(self) -> None:
        """Put what `.env` has for libraries, such as proxies, into the environment, which overrides it."""
        for name, value in self.in_file.items():
            os.environ.setdefault(name, value)


_loaded: LoadedSettings | None = None


def keep(config: Any, in_file: Mapping[str, str]) -> LoadedSettings:
    """Keep the settings for this process, and for the workers that it forks from now on."""
    global _loaded  # noqa: PLW0603
    values = {declared.name: getattr(config, declared.name) for declared in fields(config)}
    _loaded = LoadedSettings(values, in_file)
    return _loaded


def find() -> LoadedSettings | None:
    """Return what is kept; None if no arbiter has loaded any."""
    return _loaded
