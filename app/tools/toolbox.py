"""Define Toolbox, all tools, and OfferedTools, those that a request may use."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.auth.principal import Principal
from app.frozen import frozen
from app.problems import Forbidden, InvalidRequest
from app.tools.context import ToolContext
from app.tools.declaring import DeclaredTool


@dataclass(frozen=True, slots=True)
class Toolbox:
    """All tools.

    Attributes:
        declared: the tools by name.
        allowed: ALLOWED_TOOLS, the names that every caller may use.
    """

    declared: Mapping[str, DeclaredTool]
    allowed: Collection[str]

    def offer_to(self, principal: Principal, request_id: str) -> OfferedTools:
        """Return the tools that a request may use."""
        return OfferedTools(self, principal, request_id)


@dataclass(frozen=True, slots=True)
class BoundTool:
    """A tool bound to a request: a ServerTool of openai_service."""

    declared: DeclaredTool
    context: ToolContext

    @property
    def name(self) -> str:
        """The name that the model uses."""
        return self.declared.name

    @property
    def definition(self) -> dict[str, Any]:
        """The definition for the model, in OpenAI's format."""
        return self.declared.definition

    @property
    def timeout_s(self) -> float | None:
        """The timeout of one call. None means TOOL_TIMEOUT_S."""
        return self.declared.timeout_s

    def run(self, arguments: str) -> str:
        """Call the function with the model's JSON arguments. Raises ToolError: see DeclaredTool.run()."""
        return self.declared.run(arguments, self.context)


@frozen()
class OfferedTools:
    """The tools that a request may use."""

    toolbox: Toolbox
    principal: Principal
    request_id: str

    def select(self, names: Sequence[str]) -> tuple[BoundTool, ...]:
        """Return the tools that the request names. An API key may name any tool, other callers only allowed ones.

        Raises:
            Forbidden: the caller may not name a tool, whether or not it exists.
            InvalidRequest: there is no such tool.
        """
        for number, name in enumerate(names):
            if self.principal.kind != "key" and name not in self.toolbox.allowed:
                raise Forbidden(f"the tool {name} is not offered here.", field=f"serverTools.{number}")
            if name not in self.toolbox.declared:
                raise InvalidRequest(f"there is no tool {name}.", field=f"serverTools.{number}")
        return self.resolve(names)

    def resolve(self, names: Sequence[str]) -> tuple[BoundTool, ...]:
        """Return the tools with these names without checking the caller, for the tools of a stored prompt."""
        context = ToolContext(self.principal.tenant, self.principal.user, self.request_id)
        return tuple(BoundTool(self.toolbox.declared[name], context) for name in dict.fromkeys(names))
