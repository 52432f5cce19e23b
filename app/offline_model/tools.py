"""The tools of a chat request, and when one of them is called.

A real model calls a tool where it helps. Here it is called where the choice requires one, or where the user's
message holds the tool's name, or a word of its name or description. Once the last message is a tool's result,
the answer is text, even under `tool_choice: "required"`: a page's loop comes to its end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.offline_model import tokens
from app.offline_model.common_words import COMMON_WORDS
from app.offline_model.requests.errors import InvalidRequestError
from app.offline_model.requests.fields import JsonObject, invalid_value, json_object, missing, string, wrong_type


@dataclass(frozen=True)
class Tool:
    """A function that the caller runs."""

    name: str
    description: str
    parameters: JsonObject

    def mentions_in(self, text: str) -> int:
        """Count the words of the tool that a message has; its whole name outweighs them all."""
        lowered = text.casefold()
        if self.name.casefold() in lowered:
            return 1000
        words = set(_words(self.name)) | set(_words(self.description))
        return len(words & set(_words(lowered)))


@dataclass(frozen=True)
class ToolSet:
    """What may be called; `choice` is "none", "auto", "required", or a `Tool` the caller names."""

    tools: tuple[Tool, ...] = ()
    choice: str | Tool = "none"
    prompt_tokens: int = 0

    def chosen_for(self, text: str) -> Tool | None:
        """Return the tool to call after the user wrote `text`, or None to answer in words."""
        if isinstance(self.choice, Tool):
            return self.choice
        if self.choice == "none":
            return None
        best = max(self.tools, key=lambda tool: tool.mentions_in(text))
        return best if self.choice == "required" or best.mentions_in(text) else None


def parse_tools(body: JsonObject) -> ToolSet:
    """Read `tools` and `tool_choice`.

    Raises:
        InvalidRequestError: a tool is no function, or the choice names a tool that is not there.
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
    tools = tuple(_tool(tool, f"tools[{index}]") for index, tool in enumerate(given))
    return ToolSet(tools, _choice(body.get("tool_choice"), tools), tokens.count_json(given, "tools"))


def _tool(given: Any, param: str) -> Tool:
    if not isinstance(given, dict):
        raise wrong_type(param, "an object")
    if string(given, "type", f"{param}.type") != "function":
        raise invalid_value(f"{param}.type", "'function'; the offline model takes no other kind")
    function = json_object(given, "function", f"{param}.function")
    name = string(function, "name", f"{param}.function.name")
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name):
        raise invalid_value(f"{param}.function.name", "1 to 64 letters, digits, '_' or '-'")
    description = function.get("description") or ""
    if not isinstance(description, str):
        raise wrong_type(f"{param}.function.description", "a string")
    # A call's arguments are always an object, whether the schema says so or not.
    parameters: JsonObject = {"type": "object"}
    if function.get("parameters") is not None:
        parameters |= json_object(function, "parameters", f"{param}.function.parameters")
    return Tool(name, description, parameters)


def _choice(given: Any, tools: tuple[Tool, ...]) -> str | Tool:
    if given is None:
        return "auto"
    if given in ("none", "auto", "required"):
        return str(given)
    if not isinstance(given, dict):
        raise invalid_value("tool_choice", "'none', 'auto', 'required' or a function's name")
    name = string(json_object(given, "function", "tool_choice.function"), "name", "tool_choice.function.name")
    for tool in tools:
        if tool.name == name:
            return tool
    raise invalid_value("tool_choice", "the name of one of the tools") if name else missing("tool_choice")


def _words(text: str) -> Iterator[str]:
    """Words of four letters and more: `getWeather_forCity` gives "weather" and "city"."""
    for word in re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)):
        if len(word) >= 4 and word.casefold() not in COMMON_WORDS:
            yield word.casefold()
