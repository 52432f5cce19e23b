"""Derive the JSON schema of a tool's arguments, and validate the arguments that the model writes."""

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
from app.tools.context import ToolContext

_MAX_SHOWN = 5
_MAX_SHOWN_CHARS = 300


class InvalidTool(ValueError):
    """A function cannot be a tool. The message begins with its name."""


class _SchemaWithoutTitles(GenerateJsonSchema):
    """Omits titles, which repeat the names and cost tokens."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


class Parameters:
    """The arguments that the model writes for a function.

    Attributes:
        schema: the JSON schema of the object of arguments.
        context: the name of the parameter that receives the ToolContext, if any.
    """

    def __init__(self, function: Callable[..., Any], descriptions: Mapping[str, str]) -> None:
        """Derive the schema from a signature.

        Args:
            function: the function. It must have a type hint for each parameter.
            descriptions: the descriptions of the parameters in its docstring, by name.

        Raises:
            InvalidTool: the function cannot be a tool.
        """
        name = function.__name__
        hints = _read_hints(function)
        members: dict[str, Any] = {}
        self.context: str | None = None
        for parameter in inspect.signature(function).parameters.values():
            if problem := _find_problem(parameter):
                raise InvalidTool(f"{name}: the parameter {parameter.name} {problem}.")
            hint = hints[parameter.name]
            if hint is ToolContext:
                if self.context is not None:
                    raise InvalidTool(f"{name}: only one parameter can be the ToolContext.")
                self.context = parameter.name
                continue
            members[parameter.name] = _make_member(hint, parameter.default, descriptions.get(parameter.name))
        for other in descriptions:
            if other not in members and other != self.context:
                raise InvalidTool(f"{name}: the docstring describes {other}, which is not a parameter.")
        # A TypedDict, as its keys may begin with an underscore, unlike the fields of a pydantic model.
        arguments = _make_typed_dict(name, members)
        try:
            self._adapter: TypeAdapter[dict[str, Any]] = TypeAdapter(arguments)
            self.schema = self._adapter.json_schema(schema_generator=_SchemaWithoutTitles)
        except (PydanticUserError, SchemaError, NameError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise InvalidTool(f"{name}: the type of a parameter has no JSON schema: {reason}") from None
        self.schema.pop("title", None)

    def parse(self, text: str) -> dict[str, Any]:
        """Parse and validate arguments, and return them with the types of the signature.

        Raises:
            ToolError: the text is not JSON or does not match the schema. The message is for the model.
        """
        try:
            return self._adapter.validate_json(text or "{}")
        except ValidationError as errors:
            raise ToolError(_format_errors(errors)) from None


def _make_typed_dict(name: str, members: dict[str, Any]) -> Any:
    typed_dict: Any = TypedDict
    new_type = typed_dict(name, members)
    new_type.__pydantic_config__ = ConfigDict(extra="forbid")
    return new_type


def _read_hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        raise InvalidTool(f"{function.__name__}: a type annotation cannot be read: {error}.") from None


def _find_problem(parameter: inspect.Parameter) -> str | None:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        return "takes any number of arguments: name each of them"
    if parameter.kind is parameter.POSITIONAL_ONLY:
        return "is positional only: remove the /"
    if parameter.annotation is parameter.empty:
        return "has no type annotation"
    return None


def _make_member(hint: Any, default: Any, description: str | None) -> Any:
    extra: dict[str, Any] = {}
    if default is not inspect.Parameter.empty and default is not None:
        with suppress(PydanticSerializationError):  # the schema then has no default
            extra["default"] = to_jsonable_python(default)
    own = typing.get_args(hint)[1:] if typing.get_origin(hint) is Annotated else ()
    options: dict[str, Any] = {"json_schema_extra": extra} if extra else {}
    if description and not any(getattr(part, "description", None) for part in own):
        options["description"] = description
    member = Annotated[hint, Field(**options)]
    return member if default is inspect.Parameter.empty else NotRequired[member]


def _format_errors(errors: ValidationError) -> str:
    each = errors.errors(include_url=False, include_context=False, include_input=False)
    if each[0]["type"] == "json_invalid":
        return f"The arguments are not valid JSON: {each[0]['msg'].removeprefix('Invalid JSON: ')}."
    problems = [f"{'.'.join(map(str, error['loc'])) or 'all'}: {error['msg']}" for error in each[:_MAX_SHOWN]]
    more = f"; and {len(each) - _MAX_SHOWN} more" if len(each) > _MAX_SHOWN else ""
    return f"The arguments do not match the schema. {'; '.join(problems)[:_MAX_SHOWN_CHARS]}{more}."
