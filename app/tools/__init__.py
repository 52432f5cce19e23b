"""Server tools: Python functions that the model can call. See docs/tools.md.

declaring    @tool: declares a function as a tool
parameters   derives the JSON schema of the arguments from a signature, and parses the arguments of a call
docstrings   reads the descriptions of a function and its arguments
loading      imports the built-in tools and those of TOOLS_DIR
toolbox      Toolbox: all tools; OfferedTools: those that a request may use
context      ToolContext: the user for whom a tool runs
builtin/     the tools that come with Gatehouse

A tool of the site imports from this package:

    from app.tools import ToolContext, ToolError, tool
"""

from app.openai_service import ToolError
from app.tools.context import ToolContext
from app.tools.declaring import tool
from app.tools.loading import load_tools
from app.tools.parameters import InvalidTool
from app.tools.toolbox import OfferedTools, Toolbox

__all__ = ["InvalidTool", "OfferedTools", "ToolContext", "ToolError", "Toolbox", "load_tools", "tool"]
