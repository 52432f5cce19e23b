"""Checks a schema against OpenAI's strict subset of JSON Schema, before a request is sent.

Source: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from app.json_schema.hints import get_hint, infer_type, is_annotation
from app.json_schema.references import UnsatisfiableError, resolve
from app.problems import Problem, make_printable
from app.runtime.turns import in_turns

MAX_LEVELS = 10
MAX_PROPERTIES = 5_000
MAX_ENUM_VALUES = 1_000
MAX_NAMES_CHARS = 120_000
MAX_SCHEMAS = 20_000  # our own limit: OpenAI's limits above do not bound the total size
LARGE_ENUM = 250
MAX_LARGE_ENUM_CHARS = 15_000

ANYWHERE = {"type", "description", "title", "enum", "const", "anyOf", "$ref", "$defs", "definitions"}
BY_TYPE: dict[str, set[str]] = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"pattern", "format", "minLength", "maxLength"},
    "number": {"multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "boolean": set(),
    "null": set(),
}
BY_TYPE["integer"] = BY_TYPE["number"]
# A list, since a given `format` may be unhashable.
FORMATS = ["date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uuid"]

MAX_PROBLEMS = 100
"""The check stops after this many problems."""

_MAX_SHOWN_PROBLEMS = 3
_MAX_SHOWN_CHARS = 380
_MAX_PATH_CHARS = 200
_MAX_NAME_CHARS = 64


class InvalidSchema(Problem, ValueError):
    """A JSON schema is not in OpenAI's strict subset; the sentence says where, why, and what to write instead.

    Example: `schema.properties.age: "not" is not supported: leave it out and check it yourself. And 2 more faults.`
    """

    status = 400
    code = "unsupported_schema"
    field = "schema"
    sentence = "cannot be used."
    message_is_safe = True

    def __init__(self, problems: Sequence[str], hint: str = "", *, field: str = "schema") -> None:
        """Build the message from the first problems and a hint.

        Args:
            problems: at least one problem, each a sentence.
            hint: a sentence to append.
            field: the name of the schema in the request, which replaces "schema" at the beginning of each problem.
        """
        problems = [field + problem.removeprefix("schema") for problem in problems]
        message = problems[0]
        shown = 1
        for problem in problems[1:_MAX_SHOWN_PROBLEMS]:
            if len(message) + len(problem) > _MAX_SHOWN_CHARS:
                break
            message, shown = f"{message} {problem}", shown + 1
        remaining = len(problems) - shown
        if len(problems) >= MAX_PROBLEMS:
            message += " And many more faults."
        elif remaining:
            message += f" And {remaining} more fault{'s' if remaining > 1 else ''}."
        super().__init__(f"{message} {hint}".strip())
        self.field = field


def find_problems(schema: dict[str, Any]) -> list[str]:
    """Return what is not in the strict subset, outermost first, each with its path and what to write instead."""
    return StrictCheck(schema).run()


def child_path(path: str, *steps: object) -> str:
    """Return the path of a subschema, limited in length because names come from callers."""
    if len(path) > _MAX_PATH_CHARS:
        return path
    return ".".join([path, *(make_printable(str(step), _MAX_NAME_CHARS) for step in steps)])


def read_types(node: dict[str, Any]) -> list[Any]:
    """Return the values of `type` as a list."""
    kinds = node.get("type", [])
    return kinds if isinstance(kinds, list) else [kinds]


class _StopCheck(Exception):
    """Stops the check early."""


class StrictCheck:
    """One check of a whole schema, which stops at the size limits of the subset.

    Attributes:
        is_too_large: whether a size limit is exceeded. This is then the last problem.
        has_annotations: whether the schema has keywords that validate nothing, which must be removed.
    """

    def __init__(self, root: dict[str, Any]) -> None:
        self.is_too_large = False
        self.has_annotations = False
        self._root = root
        self._problems: list[str] = []
        self._properties = 0
        self._enum_values = 0
        self._chars = 0
        self._schemas = 0
        # (path, schema, level). Not recursive, because callers control the depth of a schema.
        self._waiting: list[tuple[str, Any, int]] = [("schema", root, 1)]

    def run(self) -> list[str]:
        """Return the problems, outermost first."""
        with suppress(_StopCheck):
            self._check_root()
            for path, node, level in in_turns(self._waiting):  # each check may append its subschemas
                self._check_node(path, node, level)
        return self._problems

    def _add_problem(self, path: str, sentence: str) -> None:
        self._problems.append(f"{path}: {sentence}.")
        if len(self._problems) >= MAX_PROBLEMS:
            raise _StopCheck

    def _count(self, *, properties: int = 0, enum_values: int = 0, chars: int = 0, schemas: int = 0) -> None:
        """Increase the counts before the counted parts are visited. Stop the check if a limit is exceeded."""
        self._schemas += schemas
        self._properties += properties
        self._enum_values += enum_values
        self._chars += chars
        for count, maximum, what in (
            (self._properties, MAX_PROPERTIES, "properties"),
            (self._enum_values, MAX_ENUM_VALUES, "enum values"),
            (self._chars, MAX_NAMES_CHARS, "characters in its names and enum values"),
            (self._schemas, MAX_SCHEMAS, "schemas in it"),
        ):
            if count > maximum:
                self.is_too_large = True
                self._add_problem("schema", f"has more than {maximum} {what}: split it over several requests")
                raise _StopCheck

    def _check_root(self) -> None:
        root = self._root
        if "$ref" in root:
            self._add_problem("schema", 'the outermost schema must be no "$ref": write out here what it points to')
        elif root.get("type") != "object" and ("type" in root or infer_type(root) != "object"):
            fix = "make it one property of an object" if "type" in root else 'add "type": "object"'
            self._add_problem("schema", f'the outermost schema must have "type": "object": {fix}')
        if "anyOf" in root:
            self._add_problem(
                "schema", 'the outermost schema must have no "anyOf": make it one property of an object'
            )

    def _check_node(self, path: str, node: Any, level: int) -> None:
        """Check one schema and queue its subschemas."""
        if not isinstance(node, dict):
            self._add_problem(path, 'must be an object such as {"type": "string"}')
            return
        if level > MAX_LEVELS:
            self._add_problem(path, f"is nested more than {MAX_LEVELS} levels deep: make the schema flatter")
            return
        types = read_types(node)
        if (
            len(types) > len(BY_TYPE)
            or not all(isinstance(kind, str) and kind in BY_TYPE for kind in types)
            or ("type" in node and not types)
        ):
            self._add_problem(path, f'"type" must be one of {", ".join(sorted(BY_TYPE))}, or a list of them')
            return
        self._check_keywords(path, node, types)
        self._check_values(path, node)
        if "$ref" in node:
            self._check_reference(path, node)
        if "object" in types:
            self._check_object(path, node, level)
        if "array" in types:
            self._check_array(path, node, level)
        if "anyOf" in node:
            options = node["anyOf"]
            if isinstance(options, list) and options:
                self._count(schemas=len(options))
                self._waiting += [
                    (child_path(path, "anyOf", n), option, level) for n, option in enumerate(options)
                ]
            else:
                self._add_problem(path, '"anyOf" must be a list with at least one schema')
        for key in ("$defs", "definitions"):
            definitions = node.get(key, {})
            if isinstance(definitions, dict):
                self._count(chars=sum(map(len, definitions)), schemas=len(definitions))
                self._waiting += [(child_path(path, key, name), part, 1) for name, part in definitions.items()]
            else:
                self._add_problem(path, f'"{key}" must be an object of schemas by name')

    def _check_keywords(self, path: str, node: dict[str, Any], types: list[str]) -> None:
        allowed = ANYWHERE.union(*(BY_TYPE[kind] for kind in types))
        implied = infer_type(node)
        if implied:
            self._add_problem(path, f'needs "type": "{implied}"')
            allowed = allowed | BY_TYPE[implied]
        for keyword in node:
            if is_annotation(keyword):
                self.has_annotations = True
            elif keyword not in allowed:
                known = any(keyword in keywords for keywords in BY_TYPE.values())
                kinds = f" for {' or '.join(types)}" if known and types else ""
                self._add_problem(
                    path,
                    f'"{make_printable(keyword, _MAX_NAME_CHARS)}" is not supported{kinds}: {get_hint(keyword)}',
                )
        if not types and not implied and not node.keys() & {"enum", "const", "anyOf", "$ref", "oneOf", "allOf"}:
            self._add_problem(path, 'needs a "type", such as "string"')
        if "format" in node and "string" in types and node["format"] not in FORMATS:
            self._add_problem(
                path, f'"format" must be one of {", ".join(FORMATS)}: leave it out, or say it in "description"'
            )

    def _check_array(self, path: str, node: dict[str, Any], level: int) -> None:
        if isinstance(node.get("items"), list):
            self._add_problem(path, '"items" must be one schema: use an object with one property for each')
        elif "items" in node:
            self._waiting.append((child_path(path, "items"), node["items"], level + 1))
        else:
            self._add_problem(path, 'an array needs "items": add the schema that each of them has')

    def _check_object(self, path: str, node: dict[str, Any], level: int) -> None:
        properties, required = node.get("properties"), node.get("required")
        if node.get("additionalProperties") is not False:
            fix, extra = "set it", node.get("additionalProperties")
            if extra is not None and not (properties and extra in (True, {})):
                fix = "for names that are not known before, use an array of objects with a name and a value"
            self._add_problem(path, f'needs "additionalProperties": false: {fix}')
        if not isinstance(properties, dict):
            self._add_problem(path, 'needs "properties", an object of schemas by name: list each of them')
            return
        self._count(properties=len(properties), chars=sum(map(len, properties)))
        if isinstance(required, list):
            # A name may occur twice, or may not be a property.
            self._count(properties=max(0, len(required) - len(properties)))
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            self._add_problem(path, 'needs "required": list the names of all properties in it')
            required = list(properties)
        named = set(required)
        for name, inner in properties.items():
            inner_path = child_path(path, "properties", name)
            if name not in named:
                self._add_problem(
                    inner_path, 'must be in "required": add it, with "null" as a type where it is optional'
                )
            self._waiting.append((inner_path, inner, level + 1))
        for name in dict.fromkeys(name for name in required if name not in properties):
            self._add_problem(
                path,
                f'"required" names {make_printable(name, _MAX_NAME_CHARS)!a}, which is no property: add it, or take it out',
            )

    def _check_values(self, path: str, node: dict[str, Any]) -> None:
        values = node.get("enum", [])
        if not isinstance(values, list) or ("enum" in node and not values):
            self._add_problem(path, '"enum" must be a list with at least one value')
            return
        self._count(enum_values=len(values))
        chars = sum(len(value) for value in values if isinstance(value, str))
        if len(values) > LARGE_ENUM and chars > MAX_LARGE_ENUM_CHARS:
            self._add_problem(
                path,
                f'an "enum" of more than {LARGE_ENUM} values may have {MAX_LARGE_ENUM_CHARS} characters: shorten it',
            )
        constant = node.get("const")
        self._count(chars=chars + (len(constant) if isinstance(constant, str) else 0))

    def _check_reference(self, path: str, node: dict[str, Any]) -> None:
        reference = node["$ref"]
        if not isinstance(reference, str) or not reference.startswith("#"):
            self._add_problem(path, '"$ref" must point into this schema, as "#/$defs/name" does')
            return
        try:
            resolve(self._root, reference)
        except UnsatisfiableError:
            self._add_problem(path, '"$ref" points to nothing: add what it names to "$defs"')
        # Undocumented, but the API says: "$ref cannot have keywords {'description'}".
        siblings = [keyword for keyword in node if keyword in ANYWHERE - {"$ref", "$defs", "definitions"}]
        if siblings and node is not self._root:
            self._add_problem(path, f'"$ref" must stand alone: put it into "anyOf", beside "{siblings[0]}"')
