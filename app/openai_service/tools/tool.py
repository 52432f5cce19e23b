"""ServerTool: a function of the site that the model can call."""

from __future__ import annotations

from typing import Any, Protocol


class ToolError(Exception):
    """The tool cannot fulfil the call. The model gets the message, and may try again."""


class ServerTool(Protocol):
    """A function of the site."""

    @property
    def name(self) -> str:
        """The name that the model calls."""

    @property
    def definition(self) -> dict[str, Any]:
        """The definition in OpenAI's form."""

    @property
    def timeout_s(self) -> float | None:
        """The time limit of one call; None takes TOOL_TIMEOUT_S."""

    def run(self, arguments: str) -> str:
        """Run the tool, and return the result for the model.

        Args:
            arguments: JSON as the model wrote it, which may be invalid.

        Raises:
            ToolError: its message is sent to the model. The message of any other exception is not.
        """


class MissingTool:
    """Replaces an unknown tool, or one that must not run. It does not repeat the untrusted name that the model sent."""

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
