"""Pass the settings that the arbiter has loaded to each worker, even if `.env` has changed since.

So a worker that replaces a killed one has the same settings as the others, even while `.env` is being edited, or after
a reload was refused because of an error in it. Only plain values are stored: the arbiter holds no module of the
application, so that a reload imports its new code.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """The loaded settings.

    Attributes:
        values: of the settings, by field name.
        in_file: all variables of `.env`, including those for libraries.
    """

    values: Mapping[str, Any]
    in_file: Mapping[str, str]

    def fill_environment(self) -> None:
        """Add the variables of `.env` for libraries, such as proxies, to the environment, which takes precedence."""
        for name, value in self.in_file.items():
            os.environ.setdefault(name, value)


_loaded: LoadedSettings | None = None


def store(config: Any, in_file: Mapping[str, str]) -> LoadedSettings:
    """Store the settings for this process and for the workers that it forks from now on."""
    global _loaded  # noqa: PLW0603
    values = {declared.name: getattr(config, declared.name) for declared in fields(config)}
    _loaded = LoadedSettings(values, in_file)
    return _loaded


def find() -> LoadedSettings | None:
    """Return the stored settings; None if no arbiter has loaded any."""
    return _loaded
