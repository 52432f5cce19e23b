"""Server tools: Python functions that the model can call, run by this server.

declaring    @tool: declares a function as a tool
parameters   from a signature to the JSON schema of the arguments, and from a model's JSON to arguments
docstrings   the description of a function and of its arguments
loading      imports the built-in tools and those of TOOLS_DIR
toolbox      all tools, and those that a request may use
context      ToolContext: the user for whom a tool runs
"""

from app.openai_service import ToolError
from app.server_tools.context import ToolContext
from app.server_tools.declaring import tool
from app.server_tools.loading import load_tools
from app.server_tools.parameters import InvalidTool
from app.server_tools.toolbox import OfferedTools, Toolbox

__all__ = ["InvalidTool", "OfferedTools", "ToolContext", "ToolError", "Toolbox", "load_tools", "tool"]
