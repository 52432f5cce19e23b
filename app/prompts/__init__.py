"""Stored prompts, which are loaded from files at start and filled with the variables of a request.

folder      loads and checks the files of PROMPTS_DIR
prompt      Prompt: a system text with placeholders, and settings
variable    a variable of a prompt, and the values that it accepts
selection   chooses the system text and the settings of a conversation
parameters  types of model parameters, for prompts and requests
"""

from app.prompts.folder import read_prompts
from app.prompts.prompt import InvalidVariable, Prompt
from app.prompts.variable import Value

__all__ = ["InvalidVariable", "Prompt", "Value", "read_prompts"]
