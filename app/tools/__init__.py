"""The tools that come with Gatehouse, and what a tool of the site's own imports. See docs/tools.md.

from app.tools import ToolContext, ToolError, tool
"""

from app.server_tools import ToolContext, ToolError, tool

__all__ = ["ToolContext", "ToolError", "tool"]
