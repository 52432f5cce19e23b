"""Read one field of a JSON body, or raise OpenAI's error for it.

`param` is the field's path in the error, if it differs from its name. A null field counts as missing, as with OpenAI.
"""

from __future__ import annotations

from typing import Any

from app.offline_model.requests.errors import InvalidRequestError

JsonObject = dict[str, Any]


def wrong_type(param: str, wanted: str) -> InvalidRequestError:
    """Return the error for a field of the wrong type."""
    return InvalidRequestError(f"Invalid type for '{param}': expected {wanted}.", param=param, code="invalid_type")


def invalid_value(param: str, wanted: str) -> InvalidRequestError:
    """Return the error for an invalid value of the right type."""
    return InvalidRequestError(
        f"Invalid value for '{param}': expected {wanted}.", param=param, code="invalid_value"
    )


def missing(param: str) -> InvalidRequestError:
    """Return the error for a missing field."""
    return InvalidRequestError(
        f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
    )


def string(body: JsonObject, name: str, param: str | None = None) -> str:
    """Return a required string, which may be empty."""
    value = body.get(name)
    if value is None:
        raise missing(param or name)
    if not isinstance(value, str):
        raise wrong_type(param or name, "a string")
    return value


def json_object(body: JsonObject, name: str, param: str | None = None) -> JsonObject:
    """Return a required object."""
    value = body.get(name)
    if value is None:
        raise missing(param or name)
    if not isinstance(value, dict):
        raise wrong_type(param or name, "an object")
    return value


def flag(body: JsonObject, name: str, param: str | None = None) -> bool:
    """Return a boolean; False if missing."""
    value = body.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise wrong_type(param or name, "a boolean")
    return value


def integer(body: JsonObject, name: str, *, low: int, high: int) -> int | None:
    """Return an integer within bounds; None if missing."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong_type(name, "an integer")
    if not low <= value <= high:
        raise invalid_value(name, f"an integer from {low} to {high}")
    return value


def check_number(body: JsonObject, name: str, *, low: float, high: float) -> None:
    """Refuse a number that OpenAI would refuse; its value is not used here."""
    value = body.get(name)
    if value is None:
        return
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise wrong_type(name, "a number")
    if not low <= value <= high:
        raise invalid_value(name, f"a number from {low} to {high}")
