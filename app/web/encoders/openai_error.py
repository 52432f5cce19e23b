"""Encode an error as OpenAI's error object, for all URLs below /v1.

The official SDKs choose the exception class by the status, and fill it from this object.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic.alias_generators import to_snake

from app.billing.ledger.records import BudgetExceeded
from app.openai_service.errors import ModelNotOffered
from app.problems import InvalidRequest, Problem

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
# Codes of OpenAI that its clients check for. All other errors have the same code as at /api.
_CODES: dict[type[Problem], str] = {ModelNotOffered: "model_not_found"}
# Fields of /api that have another name at OpenAI. _OWN_NAMES are fields that OpenAI does not have; they stay in
# camelCase.
_NAMES = {"schema": "response_format"}
_NAMES_OF_RESPONSES = {
    "schema": "text.format.schema",
    "messages": "input",
    "systemPrompt": "instructions",
    "maxTokens": "max_output_tokens",
    "reasoningEffort": "reasoning.effort",
    "verbosity": "text.verbosity",
}
_OWN_NAMES = {"promptName", "serverTools"}

_CAMEL_NAME = re.compile(r"[A-Za-z0-9]+")
_INDEX = re.compile(r"\.(\d+)(?=\.|$)")


def openai_error(problem: Problem, request_id: str = "") -> dict[str, Any]:  # noqa: ARG001
    """Return {"error": {"message", "type", "param", "code"}}."""
    return _build_error(problem, _NAMES)


def response_error(problem: Problem, request_id: str = "") -> dict[str, Any]:  # noqa: ARG001
    """Return the same object with the parameter names of /v1/responses."""
    return _build_error(problem, _NAMES_OF_RESPONSES)


def _build_error(problem: Problem, names: Mapping[str, str]) -> dict[str, Any]:
    field, message = problem.field, problem.message
    # An error without a named field describes the location in words, such as "The body".
    param = None if field is None or " " in field else _name_param(problem, field, names)
    code = _CODES.get(type(problem), problem.code)
    if isinstance(problem, InvalidRequest) and problem.fault == "unknown":
        # OpenAI's sentence, followed by a hint at the intended field.
        hint = message.removeprefix(f"Unknown field {field}").rstrip(".")
        code, message = "unknown_parameter", f"Unrecognized request argument supplied: {param}{hint}"
    elif field is not None and param is not None:
        message = message.replace(field, param, 1)
    return {"error": {"message": message, "type": _find_type(problem), "param": param, "code": code}}


def _find_type(problem: Problem) -> str:
    if isinstance(problem, BudgetExceeded):
        return "insufficient_quota"
    return _TYPES.get(problem.status, "api_error" if problem.status >= 500 else "invalid_request_error")


def _name_param(problem: Problem, field: str, names: Mapping[str, str]) -> str:
    """Return the name of a field in OpenAI's spelling: max_tokens, messages[0].content."""
    if not isinstance(problem, InvalidRequest) or problem.fault != "unknown":
        first, dot, rest = field.partition(".")
        first = names.get(first, first)
        field = ".".join(map(_to_snake, f"{first}{dot}{rest}".split(".")))
    return _INDEX.sub(r"[\1]", field)


def _to_snake(name: str) -> str:
    is_camel = _CAMEL_NAME.fullmatch(name) and name not in _OWN_NAMES and not name.isdigit()
    return to_snake(name) if is_camel else name
