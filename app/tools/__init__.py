"""The site's own tools: each file here may declare some. See docs/tools.md.

from app.tools import ToolContext, ToolError, tool
"""

from app.server_tools import ToolContext, ToolError, tool

__all__ = ["ToolContext", "ToolError", "tool"]
