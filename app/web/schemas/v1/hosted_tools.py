"""Define hosted tools, the tools of /v1/responses that run at OpenAI, and check them against the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, ConfigDict, Discriminator, Field, Tag
from typing_extensions import TypedDict

from app.config import HostedToolSettings
from app.openai_service import HostedTools
from app.openai_service.responses.generated_images import IMAGE_TOOL, MAX_IMAGE_CALLS
from app.problems import InvalidRequest
from app.web.media.parts import find_media
from app.web.schemas.v1.fields import OpenAIModel, only
from app.web.schemas.v1.refused_types import ACCEPTED_TOOLS, describe_refusal
from app.web.schemas.validation import AS_OTHER, AS_TEXT, get_union_tag, prefix_errors, validate

_Short = Annotated[str, Field(min_length=1, max_length=256)]
_Host = Annotated[str, Field(min_length=1, max_length=253)]
_Id = Annotated[str, Field(min_length=1, max_length=200)]
_Label = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
_Secret = Annotated[str, Field(min_length=1, max_length=8_192)]
_Scalar = str | int | float | bool


class UserLocation(OpenAIModel):
    """The approximate location of the user."""

    type: Literal["approximate"]
    city: _Short | None = None
    country: Annotated[str, Field(pattern=r"^[A-Za-z]{2}$")] | None = None
    region: _Short | None = None
    timezone: _Short | None = None


class SearchFilters(OpenAIModel):
    """The domains that are searched, or not searched."""

    allowed_domains: Annotated[list[_Host], Field(max_length=100)] | None = None
    blocked_domains: Annotated[list[_Host], Field(max_length=100)] | None = None


class WebSearch(OpenAIModel):
    """OpenAI's web search."""

    type: Literal["web_search", "web_search_2025_08_26"]
    search_context_size: Literal["low", "medium", "high"] | None = None
    user_location: UserLocation | None = None
    filters: SearchFilters | None = None
    external_web_access: bool | None = None


class AutoContainer(OpenAIModel):
    """A container that is created for the answer. It has no network access, which is OpenAI's default."""

    type: Literal["auto"]
    memory_limit: Literal["1g", "4g", "16g", "64g"] | None = None
    file_ids: Annotated[list[_Id], Field(max_length=50)] | None = None


class CodeInterpreter(OpenAIModel):
    """Runs Python code that the model writes, in a container at OpenAI."""

    type: Literal["code_interpreter"]
    container: Annotated[
        Annotated[_Id, Tag(AS_TEXT)] | Annotated[AutoContainer, Tag(AS_OTHER)], Discriminator(get_union_tag)
    ]


class ComparisonFilter(OpenAIModel):
    """A comparison of one attribute of a file."""

    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
    key: _Short
    value: _Scalar | Annotated[list[str | int | float], Field(max_length=100)]


class CompoundFilter(OpenAIModel):
    """Several comparisons, of which all or at least one must be true."""

    type: Literal["and", "or"]
    filters: Annotated[list[ComparisonFilter], Field(min_length=1, max_length=32)]


class RankingOptions(OpenAIModel):
    """How the results are ranked."""

    ranker: Literal["auto", "default-2024-11-15"] | None = None
    score_threshold: Annotated[float, Field(ge=0, le=1)] | None = None


class FileSearch(OpenAIModel):
    """OpenAI's search in the site's vector stores."""

    type: Literal["file_search"]
    vector_store_ids: Annotated[list[_Id], Field(min_length=1, max_length=10)]
    max_num_results: Annotated[int, Field(ge=1, le=50)] | None = None
    filters: Annotated[ComparisonFilter | CompoundFilter, Field(discriminator="type")] | None = None
    ranking_options: RankingOptions | None = None


class ToolFilter(OpenAIModel):
    """The tools of an MCP server that may be called."""

    tool_names: Annotated[list[_Short], Field(max_length=128)] | None = None
    read_only: bool | None = None


class Mcp(OpenAIModel):
    """The tools of an MCP server, which OpenAI calls.

    Approvals need a stored response, so `require_approval` is never.
    """

    type: Literal["mcp"]
    server_label: _Label
    server_url: Annotated[str, Field(min_length=1, max_length=2_000)] | None = None
    connector_id: _Id | None = None
    server_description: Annotated[str, Field(max_length=2_000)] | None = None
    authorization: _Secret | None = None
    headers: Annotated[dict[_Short, _Secret], Field(max_length=16)] | None = None
    allowed_tools: Annotated[list[_Short], Field(max_length=128)] | ToolFilter | None = None
    require_approval: Literal["never"]


class ImageGeneration(OpenAIModel):
    """Images by a model of OpenAI, with options up to those that the price in the settings covers."""

    type: Literal["image_generation"]
    action: Literal["generate", "edit", "auto"] | None = None
    background: Literal["transparent", "opaque", "auto"] | None = None
    input_fidelity: Literal["high", "low"] | None = None
    input_image_mask: Annotated[Any, only(instead="describe in words where to edit")] = None
    model: _Id | None = None
    moderation: Literal["auto", "low"] | None = None
    output_compression: Annotated[int, Field(ge=0, le=100)] | None = None
    output_format: Literal["png", "webp", "jpeg"] | None = None
    partial_images: Annotated[int, Field(ge=0, le=3)] | None = None
    quality: Literal["low", "medium", "high", "auto"] | None = None
    size: Literal["1024x1024", "1024x1536", "1536x1024", "auto"] | None = None


HostedTool = WebSearch | CodeInterpreter | FileSearch | Mcp | ImageGeneration

_MODELS: dict[str, tuple[str, type[OpenAIModel]]] = {
    "web_search": ("web_search", WebSearch),
    "web_search_2025_08_26": ("web_search", WebSearch),
    "code_interpreter": ("code_interpreter", CodeInterpreter),
    "file_search": ("file_search", FileSearch),
    "mcp": ("mcp", Mcp),
    IMAGE_TOOL: (IMAGE_TOOL, ImageGeneration),
}
HOSTED_TYPES = tuple(_MODELS)

# The values of `include` that are supported, and the tool of each.
_INCLUDED = {
    "web_search_call.action.sources": "web_search",
    "web_search_call.results": "web_search",
    "file_search_call.results": "file_search",
    "code_interpreter_call.outputs": "code_interpreter",
}
_SECRETS = ("authorization", "headers")
# The number of input images that the price of a generated image includes.
_MAX_READ_IMAGES = 4
_IMAGE_LABEL = {"type": "text", "text": "(generated image)"}


class ImageItem(TypedDict):
    """An image that a tool generated for an earlier answer.

    It is sent as a user's image, as only user turns can have any.
    """

    __pydantic_config__ = ConfigDict(extra="ignore", strict=True)  # type: ignore[misc]

    type: Literal["image_generation_call"]
    result: NotRequired[str | None]


def _show_image(item: ImageItem) -> dict[str, Any]:
    """Return the item with its image as a content part.

    Without an image it is dropped, as items of other tools are.
    """
    if not (image := item.get("result")):
        return {"type": item["type"]}
    # Base64 that was cut out of the body is already named by a data URL.
    url = image if image.startswith("data:") else f"data:image/png;base64,{image}"
    content = [_IMAGE_LABEL, {"type": "image_url", "image_url": {"url": url}}]
    return {"type": item["type"], "content": content}


MadeImage = Annotated[ImageItem, AfterValidator(_show_image)]


def read_hosted_tools(
    tools: Sequence[Mapping[str, Any]],
    settings: HostedToolSettings,
    *,
    max_calls: int | None,
    include: Sequence[str],
) -> HostedTools | None:
    """Return the hosted tools of a request, validated; None if there are none.

    Args:
        tools: all tools of the request.
        settings: what the site allows.
        max_calls: the request's maximum number of calls, if any.
        include: the request's `include`.

    Raises:
        InvalidRequest: a tool is not allowed, not valid, or names a resource that callers may not use.
    """
    hosted = []
    for index, tool in enumerate(tools):
        if (kind := tool.get("type")) in _MODELS:
            name, model = _MODELS[str(kind)]
            if name not in settings.allowed:
                raise InvalidRequest(f"{describe_refusal(kind, ACCEPTED_TOOLS)}.", field=f"tools.{index}")
            with prefix_errors(f"tools.{index}"):
                _check_together(validate(dict(tool), model), settings.resources)
            hosted.append({field: value for field, value in tool.items() if value is not None})
    if not hosted:
        return None
    types = {_MODELS[tool["type"]][0] for tool in hosted}
    included = tuple(dict.fromkeys(name for name in include if _INCLUDED.get(name) in types))
    limit = min(settings.max_calls, MAX_IMAGE_CALLS) if IMAGE_TOOL in types else settings.max_calls
    return HostedTools(hosted, min(max_calls or limit, limit), included)


def check_read_images(hosted: HostedTools | None, items: Sequence[Mapping[str, Any]]) -> None:
    """Raise InvalidRequest if image generation may read more images than its price includes, as each is billed."""
    image_tools = [tool for tool in (hosted.tools if hosted is not None else ()) if tool["type"] == IMAGE_TOOL]
    if all(tool.get("action") == "generate" for tool in image_tools):
        return
    if sum(part["type"] == "image_url" for _, _, part in find_media(items)) > _MAX_READ_IMAGES:
        raise InvalidRequest(
            f"may have at most {_MAX_READ_IMAGES} images with {IMAGE_TOOL}, unless its action is generate.",
            field="input",
        )


def check_hosted_choice(choice: Mapping[str, Any], hosted: HostedTools | None) -> dict[str, Any]:
    """Return a tool choice that names a hosted tool.

    Raises InvalidRequest if that is not among the request's tools.
    """
    offered = [tool["type"] for tool in hosted.tools] if hosted is not None else []
    if choice["type"] not in offered:
        raise InvalidRequest(f"{describe_refusal(choice['type'], ACCEPTED_TOOLS)}.", field="tool_choice")
    return dict(choice)


def describe_hosted_tools(hosted: HostedTools | None) -> list[dict[str, Any]]:
    """Return the tools as a response repeats them, without credentials."""
    tools = hosted.tools if hosted is not None else ()
    return [{name: value for name, value in tool.items() if name not in _SECRETS} for tool in tools]


def _check_together(tool: OpenAIModel, allowed: frozenset[str]) -> None:
    """Raise InvalidRequest if a tool's fields contradict each other, or name an unlisted resource.

    Resources that the settings do not list are private to the site, or external.
    """
    for field, value in _list_resources(tool):
        if value not in allowed:
            raise InvalidRequest("not offered here.", field=field)
    if isinstance(tool, Mcp) and (tool.server_url is None) == (tool.connector_id is None):
        raise InvalidRequest("give either server_url or connector_id.", field="server_url")
    if isinstance(tool, ImageGeneration) and (tool.background, tool.output_format) == ("transparent", "jpeg"):
        raise InvalidRequest("needs output_format to be png or webp.", field="background")


def _list_resources(tool: OpenAIModel) -> Iterator[tuple[str, str]]:
    if isinstance(tool, CodeInterpreter):
        container = tool.container
        if isinstance(container, str):
            yield "container", container
        else:
            yield from (("container.file_ids", id_) for id_ in container.file_ids or ())
    elif isinstance(tool, FileSearch):
        yield from (("vector_store_ids", id_) for id_ in tool.vector_store_ids)
    else:
        for name in ("server_url", "connector_id", "model"):
            if (value := getattr(tool, name, None)) is not None:
                yield name, value
