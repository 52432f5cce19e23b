"""Toolbox: the tools that there are, and which of them a caller may name."""

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
    """
    Attributes:
        declared: all tools, by their names.
        allowed: ALLOWED_TOOLS, those that anybody may name.
    """

    declared: Mapping[str, DeclaredTool]
    allowed: Collection[str]

    def offered_to(self, principal: Principal, request_id: str) -> OfferedTools:
        return OfferedTools(self, principal, request_id)


@dataclass(frozen=True, slots=True)
class BoundTool:
    """A tool as one request may have it run: a ServerTool of the service's."""

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
    """The tools as one request may use them."""

    toolbox: Toolbox
    principal: Principal
    request_id: str

    def named(self, names: Sequence[str]) -> tuple[BoundTool, ...]:
        """Those that the request itself names: a site's own server may name any, everybody else those allowed.

        Raises:
            Forbidden: it may not name one of them; whether there is such a one is not told.
            InvalidRequest: there is none of a name.
        """
        for number, name in enumerate(names):
            if self.principal.kind != "key" and name not in self.toolbox.allowed:
                raise Forbidden(f"serverTools.{number}: the tool {name} is not offered here.")
            if name not in self.toolbox.declared:
                raise InvalidRequest(f"serverTools.{number}: there is no tool {name}.")
        return self.of(names)

    def of(self, names: Sequence[str]) -> tuple[BoundTool, ...]:
        """Those of the site's choosing, whoever asks."""
        context = ToolContext(self.principal.tenant, self.principal.user, self.request_id)
        return tuple(BoundTool(self.toolbox.declared[name], context) for name in dict.fromkeys(names))
