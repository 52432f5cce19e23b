"""Stored prompts: loaded from files at start, filled with a request's variables."""

from app.prompts.folder import read_prompts
from app.prompts.prompt import InvalidVariable, Prompt
from app.prompts.variable import Value

__all__ = ["InvalidVariable", "Prompt", "Value", "read_prompts"]
