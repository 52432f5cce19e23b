"""Define the tool for a computer of the client, which the model operates by clicks, keys and screenshots.

The client runs the actions. The tool costs only tokens, but can act outside of the site, so a setting has to allow
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, ConfigDict, Field
from typing_extensions import TypedDict

from app.config import HostedToolSettings
from app.openai_service.responses.client_tools import COMPUTER_TOOLS
from app.problems import InvalidRequest
from app.web.schemas.fields import Detail
from app.web.schemas.v1.fields import OpenAIModel
from app.web.schemas.v1.refused_types import ACCEPTED_TOOLS, describe_refusal
from app.web.schemas.validation import check_depth, prefix_errors, validate

_STRICT = ConfigDict(extra="forbid", strict=True)
_ALLOWS_ALL = "computer_use"
_ITEMS = ("computer_call", "computer_call_output")

_CallId = Annotated[str, Field(min_length=1)]
_Pixels = Annotated[int, Field(ge=1, le=65_535)]
_Short = Annotated[str, Field(max_length=4_096)]
_Action = Annotated[dict[str, Any], AfterValidator(check_depth)]


class Computer(OpenAIModel):
    """The computer tool of gpt-5.4 and later models."""

    type: Literal["computer"]


class ComputerUsePreview(OpenAIModel):
    """The computer tool of computer-use-preview."""

    type: Literal["computer_use_preview"]
    display_width: _Pixels
    display_height: _Pixels
    environment: Literal["windows", "mac", "linux", "ubuntu", "browser"]


_MODELS: dict[str, type[OpenAIModel]] = {"computer": Computer, "computer_use_preview": ComputerUsePreview}
ComputerTool = Computer | ComputerUsePreview


class NamedComputer(TypedDict):
    """A tool choice that names the computer."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["computer", "computer_use_preview", "computer_use"]


class SafetyCheck(TypedDict):
    """An action that a person has to confirm before the computer performs it."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    id: _Short
    code: NotRequired[_Short | None]
    message: NotRequired[_Short | None]


_SafetyChecks = Annotated[list[SafetyCheck], Field(max_length=64)]


class ComputerCallItem(TypedDict):
    """A call by the model: one action, or several in order."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["computer_call"]
    call_id: _CallId
    action: NotRequired[_Action | None]
    actions: NotRequired[Annotated[list[_Action], Field(max_length=1_000)] | None]
    pending_safety_checks: NotRequired[_SafetyChecks | None]
    id: NotRequired[Any]
    status: NotRequired[Any]


class Screenshot(TypedDict):
    """The screen after the actions. The URL of the page, which some clients send, is ignored."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["computer_screenshot", "input_image"]
    image_url: NotRequired[Annotated[str, Field(min_length=1)] | None]
    detail: NotRequired[Detail | None]
    file_id: NotRequired[Any]
    current_url: NotRequired[Any]


class ComputerOutputItem(TypedDict):
    """The result of one computer call."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["computer_call_output"]
    call_id: _CallId
    output: Screenshot
    acknowledged_safety_checks: NotRequired[_SafetyChecks | None]
    id: NotRequired[Any]
    status: NotRequired[Any]
    current_url: NotRequired[Any]


def _to_call(item: ComputerCallItem) -> dict[str, Any]:
    actions = {name: item.get(name) for name in ("action", "actions") if item.get(name) is not None}
    if not actions:
        raise ValueError("action is missing")
    computer = {**actions, "pending_safety_checks": item.get("pending_safety_checks") or []}
    return {"type": item["type"], "call_id": item["call_id"], "computer": computer}


def _to_result(item: ComputerOutputItem) -> dict[str, Any]:
    screenshot = item["output"]
    result: dict[str, Any] = {"type": item["type"], "call_id": item["call_id"]}
    if screenshot.get("file_id") is not None:
        raise ValueError("output.file_id is not accepted; send the image as output.image_url, a data: URL")
    if (url := screenshot.get("image_url")) is None:
        raise ValueError("output.image_url is missing")
    detail = {} if screenshot.get("detail") is None else {"detail": screenshot["detail"]}
    if checks := item.get("acknowledged_safety_checks"):
        result["acknowledged_safety_checks"] = checks
    # The model clicks at coordinates in the image's pixels, so the image must not be scaled.
    image = {"url": url, **detail, "keeps_size": True}
    return {**result, "content": [{"type": "image_url", "image_url": image}]}


ComputerCall = Annotated[ComputerCallItem, AfterValidator(_to_call)]
ComputerOutput = Annotated[ComputerOutputItem, AfterValidator(_to_result)]


def read_computer_tools(tools: Sequence[Mapping[str, Any]], settings: HostedToolSettings) -> list[dict[str, Any]]:
    """Return the computer tools of a request, validated.

    Raises:
        InvalidRequest: the settings do not allow a tool, or it is not valid.
    """
    found = []
    for index, tool in enumerate(tools):
        if (kind := tool.get("type")) in COMPUTER_TOOLS:
            if not _allow(settings, kind):
                raise InvalidRequest(f"{describe_refusal(kind, ACCEPTED_TOOLS)}.", field=f"tools.{index}")
            with prefix_errors(f"tools.{index}"):
                validate(dict(tool), _MODELS[str(kind)])
            found.append(dict(tool))
    return found


def has_computer_calls(items: Iterable[Mapping[str, Any]], settings: HostedToolSettings) -> bool:
    """Return whether a conversation contains computer calls.

    Raises InvalidRequest if the settings do not allow them.
    """
    for index, item in enumerate(items):
        if (kind := item.get("type")) in _ITEMS:
            if not _allow(settings, *COMPUTER_TOOLS):
                raise InvalidRequest(f"{describe_refusal(kind, 'its tool is not')}.", field=f"input.{index}")
            return True
    return False


def check_computer_choice(choice: Mapping[str, Any], tools: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a tool choice that names the computer.

    Raises InvalidRequest if that is not among the request's tools.
    """
    if not tools:
        raise InvalidRequest(f"{describe_refusal(choice['type'], ACCEPTED_TOOLS)}.", field="tool_choice")
    return dict(choice)


def _allow(settings: HostedToolSettings, *kinds: object) -> bool:
    return not settings.allowed.isdisjoint({_ALLOWS_ALL, *kinds})
