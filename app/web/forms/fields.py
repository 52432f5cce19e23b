"""Convert the fields of a form, which are all texts, to the values that JSON would have."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from werkzeug.datastructures import MultiDict

from app.problems import InvalidRequest
from app.web.schemas.validation import parse_object

_INTEGER_FIELDS = {"maxTokens", "seed", "n"}
_INTEGER = re.compile("-?[0-9]{1,19}")
_NUMBER_FIELDS = {"temperature", "topP"}
_BOOLEAN_FIELDS = {"parallelToolCalls", "resumable"}
_LIST_FIELDS = {"serverTools"}
_BOOLEANS = {"true": True, "false": False}


def read_fields(form: MultiDict[str, str]) -> dict[str, Any]:
    """Return the converted fields of a form by name.

    Raises:
        InvalidRequest: a field occurs twice or contains NUL.
    """
    fields: dict[str, Any] = {}
    for name, values in form.lists():
        if name in _LIST_FIELDS:
            fields[name] = values
            continue
        if len(values) > 1:
            raise InvalidRequest("must be given once.", field=f"{name[:64]!a}")
        if "\0" in values[0]:
            raise InvalidRequest("must not contain the character NUL.", field=f"{name[:64]!a}")
        fields[name] = _convert(name, values[0])
    return fields


def _convert(name: str, text: str) -> Any:
    """Convert a text to the type of its field. Validation refuses texts that cannot be converted."""
    if name in _INTEGER_FIELDS and _INTEGER.fullmatch(text):
        return int(text)
    if name in _NUMBER_FIELDS:
        with suppress(ValueError):
            return float(text)
    if name in _BOOLEAN_FIELDS:
        return _BOOLEANS.get(text, text)
    if name == "variables":
        try:
            return parse_object(text.encode())
        except InvalidRequest as error:
            if error.field is not None:
                sentence = str(error).removeprefix(f"{error.field}: ")
                raise InvalidRequest(sentence, field=f"{name}.{error.field}") from None
            # Not a JSON object: return the text, which validation refuses.
    return text
