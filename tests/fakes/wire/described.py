"""Hold bodies and answers to what the OpenAPI document says of them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from werkzeug.test import TestResponse


class Described:
    """The document, as a strict reader of it sees the server."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._validator_of = cache(self._make_validator)

    def check_body(self, path: str, body: Any) -> None:
        """Fails if a route does not say that it takes this body."""
        content = self._document["paths"][path]["post"]["requestBody"]["content"]
        self._check(content["application/json"]["schema"], body)

    def check_answer(self, method: str, path: str, answer: TestResponse) -> None:
        """Fails if a route does not say that it answers so."""
        responses = self._document["paths"][path][method.lower()]["responses"]
        assert str(answer.status_code) in responses, f"{method} {path} answered {answer.status_code}"
        content = responses[str(answer.status_code)].get("content", {})
        if not content:
            assert answer.data == b"", f"{method} {path} has a body with {answer.status_code}"
            return
        assert answer.mimetype in content, f"{method} {path} answered {answer.mimetype}"
        schema = content[answer.mimetype]["schema"]
        if answer.mimetype == "application/json":
            self._check(schema, answer.json)
        elif "x-event" in schema:
            events = self.read_events(answer.data)
            for event in events:
                self._check(schema["x-event"], event)

    @staticmethod
    def read_events(data: bytes) -> list[Any]:
        lines = [line for line in data.split(b"\n") if line.startswith(b"data: ")]
        return [json.loads(line[6:]) for line in lines if line != b"data: [DONE]"]

    def _check(self, schema: dict[str, Any], value: Any) -> None:
        error = next(self._validator_of(json.dumps(schema)).iter_errors(value), None)
        assert error is None, f"{error.json_path if error else ''}: {error.message[:600] if error else ''}"

    def _make_validator(self, schema: str) -> Draft202012Validator:
        return Draft202012Validator({**json.loads(schema), "components": self._document["components"]})
