"""What a server tool is to the service: a function that the site runs where the model asks for it."""

from __future__ import annotations

from typing import Any, Protocol


class ToolError(Exception):
    """A tool cannot do what it was asked. The message is for the model, which may try otherwise."""


class ServerTool(Protocol):
    """A function of the site's own.

    Attributes:
        definition: of the tool, in OpenAI's form.
        timeout_s: None takes TOOL_TIMEOUT_S.
    """

    @property
    def name(self) -> str: ...

    @property
    def definition(self) -> dict[str, Any]: ...

    @property
    def timeout_s(self) -> float | None: ...

    def run(self, arguments: str) -> str:
        """What the model is told.

        Args:
            arguments: JSON, as the model wrote it, or what it took for JSON.
        Raises:
            ToolError: with what the model is told instead. It is told nothing of any other exception.
        """


class MissingTool:
    """Stands in for one that is not there, or not run. Its name is not the model's: that could be anything."""

    name = "unknown"
    timeout_s = None

    def __init__(self, answer: str) -> None:
        self._answer = answer

    @property
    def definition(self) -> dict[str, Any]:
        raise NotImplementedError

    def run(self, arguments: str) -> str:  # noqa: ARG002
        raise ToolError(self._answer)
