"""ServerTool: a function of the site that the model can call."""

from __future__ import annotations

from typing import Any, Protocol


class ToolError(Exception):
    """The tool cannot do what was asked. The model gets the message, and may try again."""


class ServerTool(Protocol):
    """A function of the site."""

    @property
    def name(self) -> str:
        """The name by which the model calls it."""

    @property
    def definition(self) -> dict[str, Any]:
        """The definition in OpenAI's form."""

    @property
    def timeout_s(self) -> float | None:
        """The time limit of one call; None takes TOOL_TIMEOUT_S."""

    def run(self, arguments: str) -> str:
        """Run the tool, and return the result for the model.

        Args:
            arguments: as the model wrote them: JSON, but perhaps invalid.

        Raises:
            ToolError: its message goes to the model. Of any other exception the model learns nothing.
        """


class MissingTool:
    """Replaces an unknown tool, or one that must not run. It does not repeat the model's name for it, which is untrusted."""

    name = "unknown"
    timeout_s = None

    def __init__(self, answer: str) -> None:
        self._answer = answer

    @property
    def definition(self) -> dict[str, Any]:
        """Not available: the model is never offered this tool."""
        raise NotImplementedError

    def run(self, arguments: str) -> str:  # noqa: ARG002
        """Raise ToolError."""
        raise ToolError(self._answer)
