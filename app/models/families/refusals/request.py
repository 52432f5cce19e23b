"""Define Request, the input of the rules: an untrusted body, and the family of its model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any, Literal

from app.models.families.catalog import find_family
from app.models.families.family import Family, When

Endpoint = Literal["chat", "responses", "embeddings", "moderations"]


@dataclass(frozen=True)
class Request:
    """An unvalidated body and its endpoint: any value in it may have the wrong type."""

    endpoint: Endpoint
    body: dict[str, Any]
    today: date

    @cached_property
    def model(self) -> str:
        """The requested model; empty if there is none."""
        model = self.body.get("model")
        return model if isinstance(model, str) else ""

    @cached_property
    def family(self) -> Family | None:
        """The family of the model."""
        return find_family(self.model)

    @cached_property
    def effort(self) -> Any:
        """The effective effort: the requested one, else the family's default."""
        sent = self.body.get("reasoning_effort") if self.endpoint == "chat" else self.get("reasoning", "effort")
        return sent if sent is not None or self.family is None else self.family.default_effort

    def get(self, *path: str) -> Any:
        """Return the value at a path of nested objects; None if it is missing or null."""
        value: Any = self.body
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    def list_objects(self, *path: str) -> list[tuple[int, dict[str, Any]]]:
        """Return the objects in the list at a path, each with its index."""
        return list(iter_objects(self.get(*path)))

    def iter_parts(self) -> Iterator[dict[str, Any]]:
        """Yield the content parts of all messages and tool results."""
        for _, message in self.list_objects("messages" if self.endpoint == "chat" else "input"):
            for parts in (message.get("content"), message.get("output")):
                yield from (part for _, part in iter_objects(parts))

    def mentions_json(self) -> bool:
        """Return whether a message contains the word "json", which JSON mode requires."""
        messages = self.get("messages" if self.endpoint == "chat" else "input")
        texts = [messages, *(message.get("content") for _, message in iter_objects(messages))]
        texts += [part.get("text") for part in self.iter_parts()]
        return any("json" in text.casefold() for text in texts if isinstance(text, str))

    def permits(self, when: When) -> bool:
        """Return whether something is accepted at this request's effort."""
        return when == "yes" or (when == "without_reasoning" and self.effort == "none")


def iter_objects(values: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects in a list, each with its index; nothing if it is not a list."""
    if isinstance(values, list):
        yield from ((index, value) for index, value in enumerate(values) if isinstance(value, dict))
