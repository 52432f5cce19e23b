"""Parse the tools of a chat request, and choose one to call.

A tool is called if `tool_choice` requires it, or if the user's message contains its name or a word of its name or
description. After a tool's result the answer is text, even with `tool_choice: "required"`, so that a tool loop ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.offline_model import tokens
from app.offline_model.instances.common_words import COMMON_WORDS
from app.offline_model.requests.errors import InvalidRequestError
from app.offline_model.requests.fields import JsonObject, invalid_value, json_object, missing, string, wrong_type

_KINDS = ("function", "custom")


@dataclass(frozen=True)
class Tool:
    """A tool that the caller runs: a function, or a custom tool, whose input is text."""

    name: str
    description: str
    parameters: JsonObject
    is_custom: bool = False

    def count_mentions(self, text: str) -> int:
        """Count the tool's words in a message; its whole name counts for 1000."""
        lowered = text.casefold()
        if self.name.casefold() in lowered:
            return 1000
        words = set(_iter_words(self.name)) | set(_iter_words(self.description))
        return len(words & set(_iter_words(lowered)))


@dataclass(frozen=True)
class ToolSet:
    """The tools of a request; `choice` is "none", "auto", "required", or the named `Tool`."""

    tools: tuple[Tool, ...] = ()
    choice: str | Tool = "none"
    prompt_tokens: int = 0

    def choose(self, text: str) -> Tool | None:
        """Return the tool to call for the user's text, or None to answer with text."""
        if isinstance(self.choice, Tool):
            return self.choice
        if self.choice == "none":
            return None
        best = max(self.tools, key=lambda tool: tool.count_mentions(text))
        return best if self.choice == "required" or best.count_mentions(text) else None


def parse_tools(body: JsonObject) -> ToolSet:
    """Read `tools` and `tool_choice`.

    Raises:
        InvalidRequestError: a tool is neither a function nor a custom one, or the choice names an unknown tool.
    """
    given = body.get("tools")
    if given is None:
        if body.get("tool_choice") not in (None, "none"):
            raise InvalidRequestError("'tool_choice' is only allowed when 'tools' are given.", param="tool_choice")
        return ToolSet()
    if not isinstance(given, list):
        raise wrong_type("tools", "an array of objects")
    if not given:
        raise invalid_value("tools", "at least one tool")
    tools = tuple(_parse_tool(tool, f"tools[{index}]") for index, tool in enumerate(given))
    return ToolSet(tools, _parse_choice(body.get("tool_choice"), tools), tokens.count_json(given, "tools"))


def _parse_tool(given: Any, param: str) -> Tool:
    if not isinstance(given, dict):
        raise wrong_type(param, "an object")
    kind = string(given, "type", f"{param}.type")
    if kind not in _KINDS:
        raise invalid_value(f"{param}.type", "'function' or 'custom'; the offline model accepts no other type")
    declared = json_object(given, kind, f"{param}.{kind}")
    name = string(declared, "name", f"{param}.{kind}.name")
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name):
        raise invalid_value(f"{param}.{kind}.name", "1 to 64 letters, digits, '_' or '-'")
    description = declared.get("description") or ""
    if not isinstance(description, str):
        raise wrong_type(f"{param}.{kind}.description", "a string")
    if kind == "custom":
        return Tool(name, description, {}, is_custom=True)
    # A call's arguments are always an object, whether the schema says so or not.
    parameters: JsonObject = {"type": "object"}
    if declared.get("parameters") is not None:
        parameters |= json_object(declared, "parameters", f"{param}.function.parameters")
    return Tool(name, description, parameters)


def _parse_choice(given: Any, tools: tuple[Tool, ...]) -> str | Tool:
    if given is None:
        return "auto"
    if given in ("none", "auto", "required"):
        return str(given)
    if not isinstance(given, dict):
        raise invalid_value("tool_choice", "'none', 'auto', 'required' or a function's name")
    kind = "custom" if given.get("type") == "custom" else "function"
    name = string(json_object(given, kind, f"tool_choice.{kind}"), "name", f"tool_choice.{kind}.name")
    for tool in tools:
        if tool.name == name and tool.is_custom == (kind == "custom"):
            return tool
    raise invalid_value("tool_choice", "the name of one of the tools") if name else missing("tool_choice")


def _iter_words(text: str) -> Iterator[str]:
    """Yield the words of four or more letters: "weather" and "city" for `getWeather_forCity`."""
    for word in re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)):
        if len(word) >= 4 and word.casefold() not in COMMON_WORDS:
            yield word.casefold()
