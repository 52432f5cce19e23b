"""Define the parts of a message as clients send them, and convert them to the format of OpenAI's chat.

A message with only text parts becomes one text. So all other code has to handle a list of parts only if there are images
or files. A part's settings of the upstream's cache are accepted and ignored, like those of a request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Discriminator, Field, Tag
from typing_extensions import TypedDict

from app.web.media.plain_texts import PlainTexts
from app.web.schemas.fields import MAX_TEXT_CHARS, Detail, NonEmptyText, Text
from app.web.schemas.validation import AS_OTHER, AS_TEXT, get_union_tag

MAX_PARTS = 200

ChatPart = dict[str, Any]
"""`{"type": "text", "text"}`, `{"type": "image_url", "image_url": {"url", "detail"?}}` or
`{"type": "file", "file": {"filename"?, "file_data"}}`."""

_STRICT = ConfigDict(extra="forbid", strict=True)
_Url = Annotated[str, Field(min_length=1)]
_TEXT_TYPES = ("text", "input_text", "output_text")


class TextPart(TypedDict):
    """A text part. The Responses API has another name for its type."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["text", "input_text"]
    text: Text
    prompt_cache_breakpoint: NotRequired[Any]


class ImageUrl(TypedDict):
    """The URL of an image, and its detail."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    url: _Url
    detail: NotRequired[Detail | None]


class ImagePart(TypedDict):
    """An image part of OpenAI's chat; some clients send only the URL."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["image_url"]
    image_url: Annotated[
        Annotated[_Url, Tag(AS_TEXT)] | Annotated[ImageUrl, Tag(AS_OTHER)], Discriminator(get_union_tag)
    ]
    prompt_cache_breakpoint: NotRequired[Any]


class InputImagePart(TypedDict):
    """An image part of the Responses API."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["input_image"]
    image_url: NotRequired[_Url | None]
    detail: NotRequired[Detail | None]
    file_id: NotRequired[Any]
    prompt_cache_breakpoint: NotRequired[Any]


class FileFields(TypedDict):
    """The fields of a file. Only its content is accepted, not a reference."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    filename: NotRequired[str | None]
    file_data: NotRequired[_Url | None]
    file_id: NotRequired[Any]
    file_url: NotRequired[Any]


def _check_file(fields: FileFields) -> FileFields:
    for name in ("file_id", "file_url"):
        if fields.get(name) is not None:
            raise ValueError(f"{name} is not accepted; send the file itself as file_data, a data: URL or base64")
    if fields.get("file_data") is None:
        raise ValueError("file_data is missing")
    return fields


class FilePart(TypedDict):
    """A file part of OpenAI's chat."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["file"]
    file: Annotated[FileFields, AfterValidator(_check_file)]
    prompt_cache_breakpoint: NotRequired[Any]


class InputFilePart(FileFields):
    """A file part of the Responses API."""

    type: Literal["input_file"]
    detail: NotRequired[Any]
    prompt_cache_breakpoint: NotRequired[Any]


def _to_file(part: FilePart) -> ChatPart:
    return _make_file_part(part["file"])


def _from_input_file(part: InputFilePart) -> ChatPart:
    return _make_file_part(_check_file(part))


def _make_file_part(fields: FileFields) -> ChatPart:
    chosen = {name: fields.get(name) for name in ("filename", "file_data")}
    return {"type": "file", "file": {name: value for name, value in chosen.items() if value is not None}}


def _to_text(part: TextPart) -> ChatPart:
    return {"type": "text", "text": part["text"]}


def _to_image(part: ImagePart) -> ChatPart:
    image = part["image_url"]
    return (
        _make_image_part(image) if isinstance(image, str) else _make_image_part(image["url"], image.get("detail"))
    )


def _from_input_image(part: InputImagePart) -> ChatPart:
    if part.get("file_id") is not None:
        raise ValueError("file_id is not accepted; send the image itself, as a data: URL")
    url = part.get("image_url")
    if url is None:
        raise ValueError("image_url is missing")
    return _make_image_part(url, part.get("detail"))


def _make_image_part(url: str, detail: str | None = None) -> ChatPart:
    return {"type": "image_url", "image_url": {"url": url} if detail is None else {"url": url, "detail": detail}}


Part = Annotated[
    Annotated[TextPart, AfterValidator(_to_text)]
    | Annotated[ImagePart, AfterValidator(_to_image)]
    | Annotated[InputImagePart, AfterValidator(_from_input_image)]
    | Annotated[FilePart, AfterValidator(_to_file)]
    | Annotated[InputFilePart, AfterValidator(_from_input_file)],
    Field(discriminator="type"),
]


def _join_if_text(parts: list[ChatPart]) -> list[ChatPart] | str:
    """Join the parts to one text if all are text; else remove blank text parts, as OpenAI refuses an empty text."""
    if all(part["type"] == "text" for part in parts):
        return _check_text("\n\n".join(part["text"] for part in parts))
    return [part for part in parts if part["type"] != "text" or part["text"].strip()]


Parts = Annotated[
    list[Part], Field(min_length=1, max_length=MAX_PARTS, fail_fast=True), AfterValidator(_join_if_text)
]
"""A list of parts in any accepted format. Validation turns it into a list of ChatPart, or into one text."""

Content = Annotated[
    Annotated[NonEmptyText, Tag(AS_TEXT)] | Annotated[Parts, Tag(AS_OTHER)], Discriminator(get_union_tag)
]
"""The content of a user's message: a text, or a list of parts."""


def join_text_parts(content: Any) -> Any:
    """Join a list of text parts to one text. Return anything but a list unchanged.

    Raises:
        ValueError: the list is empty or has other parts, which only a user's message may have.
    """
    if not isinstance(content, list):
        return content
    texts = [text for text in map(_read_text, content) if text is not None]
    if not texts or len(texts) != len(content):
        raise ValueError("must be a text, or a list of text parts")
    return "\n\n".join(texts) if any(texts) else ""


class AnyTextPart(TypedDict):
    """A text part in the format of any of OpenAI's APIs, including those of answers. Other fields are ignored."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    type: Literal["text", "input_text", "output_text", "refusal"]


JOINED_TEXT = BeforeValidator(
    join_text_parts, json_schema_input_type=str | Annotated[list[AnyTextPart], Field(min_length=1)]
)
"""Accepts a text, or a list of text parts, which it joins to one text."""


def _join_text_only(content: Any) -> Any:
    """Join a list that has only text parts, in any format, to one text. Return anything else unchanged."""
    if not isinstance(content, list) or None in map(_read_text, content):
        return content
    return join_text_parts(content)


ToolOutput = Annotated[
    Annotated[Text, Tag(AS_TEXT)] | Annotated[Parts, Tag(AS_OTHER)],
    Discriminator(get_union_tag),
    BeforeValidator(_join_text_only),
]
"""The output of a tool: a text, or a list of parts."""

JOINED_TEXT_OR_NULL = BeforeValidator(
    join_text_parts, json_schema_input_type=str | Annotated[list[AnyTextPart], Field(min_length=1)] | None
)


def find_media(messages: Sequence[Mapping[str, Any]] | None) -> Iterator[tuple[int, int, ChatPart]]:
    """Yield each part that is not text, with the index of its message and its own index."""
    if isinstance(messages, PlainTexts):
        return
    for message_index, message in enumerate(messages or ()):
        if "content" not in message or type(content := message["content"]) is not list:
            continue
        for part_index, part in enumerate(content):
            if part["type"] != "text":
                yield message_index, part_index, part


def list_texts(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield all texts of a conversation in OpenAI's format."""
    for message in messages:
        content = message.get("content") or ""
        if isinstance(content, str):
            yield content
        else:
            yield from (part["text"] for part in content if part["type"] == "text")


def list_urls(messages: Sequence[Mapping[str, Any]] | None) -> list[str]:
    """Return the URLs of all images and the data of all files in a conversation."""
    return [
        part["image_url"]["url"] if part["type"] == "image_url" else part["file"]["file_data"]
        for _, _, part in find_media(messages)
    ]


def _read_text(part: Any) -> str | None:
    """Return the text of a text part or a refusal, in the format of any of OpenAI's APIs; None for other parts."""
    if not isinstance(part, dict):
        return None
    text = part.get("text") if part.get("type") in _TEXT_TYPES else None
    if part.get("type") == "refusal":
        text = part.get("refusal")
    return text if isinstance(text, str) else None


def _check_text(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    if len(text) > MAX_TEXT_CHARS:
        raise ValueError(f"must have at most {MAX_TEXT_CHARS:,} characters in all")
    return text
