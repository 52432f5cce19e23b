"""From a function's signature to the JSON schema of its arguments, and from a model's JSON to checked arguments."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, PydanticUserError, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticSerializationError, SchemaError, to_jsonable_python
from typing_extensions import TypedDict

from app.openai_service import ToolError
from app.server_tools.context import ToolContext

_SHOWN_FAULTS = 5
_SHOWN_CHARS = 300


class InvalidTool(ValueError):
    """A function cannot be a tool. The message begins with its name and says why."""


class _Untitled(GenerateJsonSchema):
    """Leaves out titles: they repeat the names, and cost tokens."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


class Parameters:
    """The arguments that a model may write for a function.

    Attributes:
        schema: of the object that holds them.
        context: the name of the parameter that gets the ToolContext, if there is one.
    """

    def __init__(self, function: Callable[..., Any], described: Mapping[str, str]) -> None:
        """Derive the schema from a signature.

        Args:
            function: must have a type hint for each parameter.
            described: the descriptions of parameters in its docstring, by name.
        Raises:
            InvalidTool: the signature cannot be one of a tool.
        """
        name = function.__name__
        hints = _read_hints(function)
        members: dict[str, Any] = {}
        self.context: str | None = None
        for parameter in inspect.signature(function).parameters.values():
            if fault := _find_problem(parameter):
                raise InvalidTool(f"{name}: the parameter {parameter.name} {fault}.")
            hint = hints[parameter.name]
            if hint is ToolContext:
                if self.context is not None:
                    raise InvalidTool(f"{name}: only one parameter can be the ToolContext.")
                self.context = parameter.name
                continue
            members[parameter.name] = _make_member(hint, parameter.default, described.get(parameter.name))
        for other in described:
            if other not in members and other != self.context:
                raise InvalidTool(f"{name}: the docstring describes {other}, which is no parameter.")
        # A TypedDict: its keys may have any name. Fields of a pydantic model must not begin with an underscore.
        arguments = _make_typed_dict(name, members)
        try:
            self._adapter: TypeAdapter[dict[str, Any]] = TypeAdapter(arguments)
            self.schema = self._adapter.json_schema(schema_generator=_Untitled)
        except (PydanticUserError, SchemaError, NameError, TypeError) as error:
            said = str(error).splitlines()[0]
            raise InvalidTool(f"{name}: the type of a parameter cannot be a JSON schema: {said}") from None
        self.schema.pop("title", None)

    def read(self, text: str) -> dict[str, Any]:
        """Return the arguments in the types of the function's signature.

        Raises:
            ToolError: the text is not JSON or does not match; the message is for the model.
        """
        try:
            return self._adapter.validate_json(text or "{}")
        except ValidationError as errors:
            raise ToolError(_format_errors(errors)) from None


def _make_typed_dict(name: str, members: dict[str, Any]) -> Any:
    typed_dict: Any = TypedDict
    made = typed_dict(name, members)
    made.__pydantic_config__ = ConfigDict(extra="forbid")
    return made


def _read_hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        raise InvalidTool(f"{function.__name__}: a type annotation cannot be read: {error}.") from None


def _find_problem(parameter: inspect.Parameter) -> str | None:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        return "stands for any number of arguments: name each of them"
    if parameter.kind is parameter.POSITIONAL_ONLY:
        return "cannot be given by its name: take the / out"
    if parameter.annotation is parameter.empty:
        return "has no type annotation"
    return None


def _make_member(hint: Any, default: Any, description: str | None) -> Any:
    extra: dict[str, Any] = {}
    if default is not inspect.Parameter.empty and default is not None:
        with suppress(PydanticSerializationError):  # only the function itself can use it
            extra["default"] = to_jsonable_python(default)
    own = typing.get_args(hint)[1:] if typing.get_origin(hint) is Annotated else ()
    told: dict[str, Any] = {"json_schema_extra": extra} if extra else {}
    if description and not any(getattr(part, "description", None) for part in own):
        told["description"] = description
    member = Annotated[hint, Field(**told)]
    return member if default is inspect.Parameter.empty else NotRequired[member]


def _format_errors(errors: ValidationError) -> str:
    each = errors.errors(include_url=False, include_context=False, include_input=False)
    if each[0]["type"] == "json_invalid":
        return f"The arguments are not valid JSON: {each[0]['msg'].removeprefix('Invalid JSON: ')}."
    faults = [f"{'.'.join(map(str, error['loc'])) or 'all'}: {error['msg']}" for error in each[:_SHOWN_FAULTS]]
    more = f"; and {len(each) - _SHOWN_FAULTS} more" if len(each) > _SHOWN_FAULTS else ""
    return f"The arguments do not fit. {'; '.join(faults)[:_SHOWN_CHARS]}{more}."
