"""The built-in tools, and what the site's own tools import. See docs/tools.md.

clock  current_time

    from app.tools import ToolContext, ToolError, tool
"""

from app.server_tools import ToolContext, ToolError, tool

__all__ = ["ToolContext", "ToolError", "tool"]
