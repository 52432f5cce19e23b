"""All declared tools, and which of them a request may use."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.auth.principal import Principal
from app.problems import Forbidden, InvalidRequest
from app.server_tools.context import ToolContext
from app.server_tools.declaring import DeclaredTool


@dataclass(frozen=True, slots=True)
class Toolbox:
    """All declared tools.

    Attributes:
        declared: all tools, by name.
        allowed: ALLOWED_TOOLS, which every client may name.
    """

    declared: Mapping[str, DeclaredTool]
    allowed: Collection[str]

    def offered_to(self, principal: Principal, request_id: str) -> OfferedTools:
        """Return the tools for one request."""
        return OfferedTools(self, principal, request_id)


@dataclass(frozen=True, slots=True)
class BoundTool:
    """A tool bound to one request: the service's ServerTool."""

    declared: DeclaredTool
    context: ToolContext

    @property
    def name(self) -> str:
        return self.declared.name

    @property
    def definition(self) -> dict[str, Any]:
        return self.declared.definition

    @property
    def timeout_s(self) -> float | None:
        return self.declared.timeout_s

    def run(self, arguments: str) -> str:
        return self.declared.run(arguments, self.context)


@dataclass(frozen=True, slots=True)
class OfferedTools:
    """The tools that one request may use."""

    toolbox: Toolbox
    principal: Principal
    request_id: str

    def named(self, names: Sequence[str]) -> tuple[BoundTool, ...]:
        """Return the tools that the request names. API keys may name any tool, others only allowed ones.

        Raises:
            Forbidden: one of them is not allowed. The error does not reveal whether it exists.
            InvalidRequest: a tool does not exist.
        """
        for number, name in enumerate(names):
            if self.principal.kind != "key" and name not in self.toolbox.allowed:
                raise Forbidden(f"serverTools.{number}: the tool {name} is not offered here.")
            if name not in self.toolbox.declared:
                raise InvalidRequest(f"serverTools.{number}: there is no tool {name}.")
        return self.of(names)

    def of(self, names: Sequence[str]) -> tuple[BoundTool, ...]:
        """Return the tools of these names, whoever the client is."""
        context = ToolContext(self.principal.tenant, self.principal.user, self.request_id)
        return tuple(BoundTool(self.toolbox.declared[name], context) for name in dict.fromkeys(names))
