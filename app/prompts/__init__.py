"""Stored prompts: loaded from files at start, filled with a request's variables.

folder      loads and checks the files of PROMPTS_DIR
prompt      Prompt: a system text with placeholders, and settings
variable    a variable of a prompt, and the values that it accepts
selection   chooses the system text and the settings of a conversation
parameters  the types of a model's parameters, which requests have as well
"""

from app.prompts.folder import read_prompts
from app.prompts.prompt import InvalidVariable, Prompt
from app.prompts.variable import Value

__all__ = ["InvalidVariable", "Prompt", "Value", "read_prompts"]
