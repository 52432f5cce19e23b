"""What a model is told of a function, which arguments it may be called with, and which functions cannot be tools."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from app.openai_service import ToolError
from app.tools import InvalidTool, ToolContext, tool
from app.tools.declaring import find_tool

CONTEXT = ToolContext("acme", "anna", "r1")


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Item(BaseModel):
    name: str
    count: Annotated[int, Field(ge=1)] = 1


class Place(TypedDict):
    city: str


@dataclasses.dataclass
class Point:
    x: int
    y: int


def schema_of(function):
    return find_tool(tool(function)).definition["function"]["parameters"]


def property_of(hint):
    def f(it):
        """F."""

    f.__annotations__ = {"it": hint}
    return schema_of(f)["properties"]["it"]


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (str, {"type": "string"}),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (str | None, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        (Annotated[int, Field(ge=1, le=9)], {"type": "integer", "minimum": 1, "maximum": 9}),
        (datetime.date, {"type": "string", "format": "date"}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
    ],
)
def test_a_type_hint_becomes_a_schema(hint, schema):
    assert property_of(hint) == schema


@pytest.mark.parametrize("hint", [Size, Item, Place, Point])
def test_a_type_of_ones_own_is_defined_beside(hint):
    def f(it):
        """F."""

    f.__annotations__ = {"it": hint}
    schema = schema_of(f)
    assert schema["properties"]["it"] == {"$ref": f"#/$defs/{hint.__name__}"}
    assert hint.__name__ in schema["$defs"]


def test_what_a_model_is_told_of_a_function():
    @tool(timeout_s=2.5)
    def book_table(
        day: datetime.date,
        guests: Annotated[int, Field(ge=1, description="who sit down")],
        context: ToolContext,
        note: str | None = None,
        area: str = "inside",
    ) -> str:
        """Book a table
        for one evening.

        More, for who reads the code.

        Args:
            day: the evening: local time
                of the place.
            guests: not told, as the hint says more.
            context: who asks.
            area (str): where to sit.

        Returns:
            day: nothing of this.
        """
        return f"{day:%d %B} {guests} {note} {area} {context.user}"

    declared = find_tool(book_table)
    assert declared.timeout_s == 2.5
    assert declared.definition == {
        "type": "function",
        "function": {
            "name": "book_table",
            "description": "Book a table for one evening.",
            "parameters": {
                "type": "object",
                "properties": {
                    "day": {
                        "type": "string",
                        "format": "date",
                        "description": "the evening: local time of the place.",
                    },
                    "guests": {"type": "integer", "minimum": 1, "description": "who sit down"},
                    "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                    "area": {"type": "string", "default": "inside", "description": "where to sit."},
                },
                "required": ["day", "guests"],
                "additionalProperties": False,
            },
        },
    }
    assert declared.run('{"day": "2026-11-20", "guests": 2}', CONTEXT) == "20 November 2 None inside anna"
    # It is still the function that it was.
    assert book_table(datetime.date(2026, 1, 2), 3, CONTEXT, area="out") == "02 January 3 None out anna"


@pytest.mark.parametrize(
    ("hint", "is_strict"), [(str, True), (str | None, True), (Item, False), (dict[str, int], False), (Any, False)]
)
def test_it_is_strict_where_openai_can_hold_the_model_to_it(hint, is_strict):
    def f(it):
        """F."""

    f.__annotations__ = {"it": hint}
    assert find_tool(tool(f)).definition["function"].get("strict", False) is is_strict


def test_a_function_without_parameters_takes_an_empty_object():
    @tool
    def ping() -> list[int]:
        """Ping."""
        return [1]

    declared = find_tool(ping)
    assert declared.definition["function"]["parameters"] == {
        "type": "object",
        "properties": {},
        "additionalProperties": False,
    }
    assert declared.run("", CONTEXT) == declared.run("{}", CONTEXT) == "[1]"
    with pytest.raises(ToolError, match="x: Extra inputs are not permitted"):
        declared.run('{"x": 1}', CONTEXT)


def test_arguments_come_as_the_types_of_the_signature():
    seen = []

    @tool
    def f(size: Size, item: Item, point: Point, _odd: list[float], copy: datetime.date) -> None:
        """F."""
        seen.extend([size, item, point, _odd, copy])

    arguments = '{"size":"large","item":{"name":"a"},"point":{"x":1,"y":2},"_odd":[1],"copy":"2026-01-02"}'
    assert find_tool(f).run(arguments, CONTEXT) == "null"
    assert seen == [Size.LARGE, Item(name="a"), Point(1, 2), [1.0], datetime.date(2026, 1, 2)]


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ("as it is", "as it is"),
        ({"day": datetime.date(2026, 1, 2)}, '{"day":"2026-01-02"}'),
        (Item(name="Ж"), '{"name":"Ж","count":1}'),
        ([Point(1, 2), Size.SMALL], '[{"x":1,"y":2},"small"]'),
        (None, "null"),
        (0.5, "0.5"),
    ],
)
def test_a_result_that_is_no_text_is_json(result, told):
    @tool
    def f() -> Any:
        """F."""
        return result

    assert find_tool(f).run("{}", CONTEXT) == told


def not_tools():
    """Each function, and why it cannot be a tool."""

    def bare(x):
        """F."""

    def many(*x: int) -> None:
        """F."""

    def named(**x: int) -> None:
        """F."""

    def positional(x: int, /) -> None:
        """F."""

    def undocumented(x: int) -> None:
        pass

    async def later() -> None:
        """F."""

    def pieces() -> Any:
        """F."""
        yield 1

    def not_json(x: object) -> None:
        """F."""

    not_json.__annotations__ = {"x": threadlike}

    def missing(x: Nowhere) -> None:  # noqa: F821
        """F."""

    def misdescribed(x: int) -> None:
        """F.

        Args:
            y: none of them.
        """

    def twice(a: ToolContext, b: ToolContext) -> None:
        """F."""

    def größe() -> None:  # noqa: PLC2401
        """F."""

    def wordy() -> None:
        """F."""

    wordy.__doc__ = "x" * 1025
    return [
        (bare, "bare: the parameter x has no type annotation."),
        (many, "many: the parameter x takes any number of arguments: name each of them."),
        (named, "named: the parameter x takes any number of arguments: name each of them."),
        (positional, "positional: the parameter x is positional only: remove the /."),
        (undocumented, "undocumented: it has no docstring, which describes it to the model."),
        (later, "later: a tool cannot be async; write it without async."),
        (pieces, "pieces: a tool cannot be a generator; return a list."),
        (not_json, "not_json: the type of a parameter has no JSON schema: "),
        (missing, "missing: a type annotation cannot be read: name 'Nowhere' is not defined."),
        (misdescribed, "misdescribed: the docstring describes y, which is not a parameter."),
        (twice, "twice: only one parameter can be the ToolContext."),
        (größe, "größe: a tool's name has 1 to 64 letters from A to Z, digits and underscores."),
        (wordy, "wordy: the first paragraph of its docstring is longer than 1,024 characters."),
        (Item, "Item: only a function can be a tool."),
    ]


class threadlike:  # noqa: N801
    pass


@pytest.mark.parametrize(("function", "problem"), not_tools(), ids=lambda value: getattr(value, "__name__", ""))
def test_what_cannot_be_a_tool_is_refused_by_name(function, problem):
    with pytest.raises(InvalidTool) as raised:
        tool(function)
    assert str(raised.value).startswith(problem)


@pytest.mark.parametrize("timeout_s", [0, -1, 1e9, float("nan")])
def test_a_time_limit_that_is_none(timeout_s):
    def f() -> None:
        """F."""

    with pytest.raises(InvalidTool, match="timeout_s must be more than 0"):
        tool(timeout_s=timeout_s)(f)
