"""Read the families from families.toml once, and find the family of a model."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from app.models.families.family import Family

_FILE = Path(__file__).with_name("families.toml")
_SNAPSHOT = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|20\d{6}|\d{4})$")
_FINE_TUNE = re.compile(r"ft:([^:]+):")


@lru_cache(maxsize=1_000)
def find_family(model: str) -> Family | None:
    """Return the family of a model, of a dated snapshot or of a fine-tune.

    None if the table does not have the name, such as that of a deployment or of another server's model.
    """
    if fine_tune := _FINE_TUNE.match(model):
        return find_family(fine_tune[1])
    families = load_families()
    return families.get(model) or families.get(_SNAPSHOT.sub("", model))


@cache
def load_families() -> dict[str, Family]:
    """Return every family by its name, in the order of the file."""
    data = read_table()
    shutdowns = {model: date.fromisoformat(day) for day, models in data["shutdowns"].items() for model in models}
    families = {}
    for group in data["groups"].values():
        values = {rule: _freeze(found["value"]) for rule, found in _collect_rules(group, data["groups"]).items()}
        for model in group["models"]:
            families[model] = Family(
                name=model, shutdown=shutdowns.get(model), **{"default_effort": None, **values}
            )
    return families


@cache
def read_table() -> dict[str, Any]:
    """Return the parsed content of the file."""
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


def _collect_rules(group: dict[str, Any], groups: dict[str, Any]) -> dict[str, Any]:
    inherited = _collect_rules(groups[group["like"]], groups) if "like" in group else {}
    return inherited | {rule: found for rule, found in group.items() if rule not in ("like", "models")}


def _freeze(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
