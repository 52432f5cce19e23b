"""Define the tool for a computer of the client's, which the model operates by clicks, keys and screenshots.

It costs only tokens, but reaches out, so that the site's owner has to allow it. What it shall do is done by the client.
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
from app.web.schemas.v1.refused_types import ONLY_CLIENTS, refuse_type
from app.web.schemas.validation import check_depth, prefixed, validate

_STRICT = ConfigDict(extra="forbid", strict=True)
_ALLOWS_ALL = "computer_use"
_ITEMS = ("computer_call", "computer_call_output")

_CallId = Annotated[str, Field(min_length=1)]
_Pixels = Annotated[int, Field(ge=1, le=65_535)]
_Short = Annotated[str, Field(max_length=4_096)]
_Action = Annotated[dict[str, Any], AfterValidator(check_depth)]


class Computer(OpenAIModel):
    """A computer, as gpt-5.4 and later models know it."""

    type: Literal["computer"]


class ComputerUsePreview(OpenAIModel):
    """A computer, as computer-use-preview knows it."""

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
    """Something that a person has to confirm before a computer does it."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    id: _Short
    code: NotRequired[_Short | None]
    message: NotRequired[_Short | None]


_SafetyChecks = Annotated[list[SafetyCheck], Field(max_length=64)]


class ComputerCallItem(TypedDict):
    """What the model wants done: one action, or several in a row."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["computer_call"]
    call_id: _CallId
    action: NotRequired[_Action | None]
    actions: NotRequired[Annotated[list[_Action], Field(max_length=1_000)] | None]
    pending_safety_checks: NotRequired[_SafetyChecks | None]
    id: NotRequired[Any]
    status: NotRequired[Any]


class Screenshot(TypedDict):
    """The screen after it was done. An address of it is told by some programs, and not used."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["computer_screenshot", "input_image"]
    image_url: NotRequired[Annotated[str, Field(min_length=1)] | None]
    detail: NotRequired[Detail | None]
    file_id: NotRequired[Any]
    current_url: NotRequired[Any]


class ComputerOutputItem(TypedDict):
    """The result of one call."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["computer_call_output"]
    call_id: _CallId
    output: Screenshot
    acknowledged_safety_checks: NotRequired[_SafetyChecks | None]
    id: NotRequired[Any]
    status: NotRequired[Any]
    current_url: NotRequired[Any]


def _to_call(item: ComputerCallItem) -> dict[str, Any]:
    told = {name: item.get(name) for name in ("action", "actions") if item.get(name) is not None}
    if not told:
        raise ValueError("action is missing")
    computer = {**told, "pending_safety_checks": item.get("pending_safety_checks") or []}
    return {"type": item["type"], "call_id": item["call_id"], "computer": computer}


def _to_result(item: ComputerOutputItem) -> dict[str, Any]:
    screenshot = item["output"]
    result: dict[str, Any] = {"type": item["type"], "call_id": item["call_id"]}
    if screenshot.get("file_id") is not None:
        raise ValueError("output.file_id is not accepted; send the image itself as output.image_url, a data: URL")
    if (url := screenshot.get("image_url")) is None:
        raise ValueError("output.image_url is missing")
    detail = {} if screenshot.get("detail") is None else {"detail": screenshot["detail"]}
    if checks := item.get("acknowledged_safety_checks"):
        result["acknowledged_safety_checks"] = checks
    # Where to click is told in the pixels of the picture, so that it may not be scaled here.
    image = {"url": url, **detail, "keeps_size": True}
    return {**result, "content": [{"type": "image_url", "image_url": image}]}


ComputerCall = Annotated[ComputerCallItem, AfterValidator(_to_call)]
ComputerOutput = Annotated[ComputerOutputItem, AfterValidator(_to_result)]


def read_computer_tools(tools: Sequence[Mapping[str, Any]], settings: HostedToolSettings) -> list[dict[str, Any]]:
    """Check the tools for a computer among those of a request, and return them.

    Raises:
        InvalidRequest: the owner does not allow one, or it is not valid.
    """
    found = []
    for place, tool in enumerate(tools):
        if (kind := tool.get("type")) in COMPUTER_TOOLS:
            if not _allow(settings, kind):
                raise InvalidRequest(f"{refuse_type(kind, ONLY_CLIENTS)}.", field=f"tools.{place}")
            with prefixed(f"tools.{place}"):
                validate(dict(tool), _MODELS[str(kind)])
            found.append(dict(tool))
    return found


def use_computer(items: Iterable[Mapping[str, Any]], settings: HostedToolSettings) -> bool:
    """Return whether a computer was used in a conversation. Raises InvalidRequest if the owner allows none."""
    for place, item in enumerate(items):
        if (kind := item.get("type")) in _ITEMS:
            if not _allow(settings, *COMPUTER_TOOLS):
                raise InvalidRequest(f"{refuse_type(kind, 'its tool is not')}.", field=f"input.{place}")
            return True
    return False


def check_computer_choice(choice: Mapping[str, Any], tools: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the choice of the computer. Raises InvalidRequest if that is not among the request's tools."""
    if not tools:
        raise InvalidRequest(f"{refuse_type(choice['type'], ONLY_CLIENTS)}.", field="tool_choice")
    return dict(choice)


def _allow(settings: HostedToolSettings, *kinds: object) -> bool:
    return not settings.allowed.isdisjoint({_ALLOWS_ALL, *kinds})
