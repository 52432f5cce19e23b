"""Server tools: the site's Python functions that a model may call, and who may offer them to it."""

from app.openai_service import ToolError
from app.server_tools.context import ToolContext
from app.server_tools.declaring import tool
from app.server_tools.loading import load_tools
from app.server_tools.parameters import ToolFault
from app.server_tools.toolbox import OfferedTools, Toolbox

__all__ = ["OfferedTools", "ToolContext", "ToolError", "ToolFault", "Toolbox", "load_tools", "tool"]
