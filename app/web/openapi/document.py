"""Build the OpenAPI document."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from flask import Flask
from pydantic.json_schema import models_json_schema
from werkzeug.routing import Rule

from app.web.error_table import list_problems
from app.web.errors import api_error, message_error, sentence_error
from app.web.guards import RouteGuard, find_guard
from app.web.openapi.components import COMPONENTS
from app.web.openapi.examples import EXAMPLES, PUT_EXAMPLES
from app.web.openapi.operations import OPERATIONS, Operation
from app.web.openapi.schema import Schema
from app.web.schemas.validation import RequestModel

_REF = "#/components/schemas/{model}"
_VARIABLE = re.compile(r"<(?:\w+:)?(\w+)>")
# The pages, and the stream for `flask doctor`, which are not part of the API.
_EXCLUDED = ("pages.", "embed.", "console.", "health.stream")

_SECURITY = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key, for the site's server only."},
    "visitorToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "A visitor token, or a JWT of the site's identity provider.",
    },
}


def list_operations(app: Flask) -> list[tuple[str, Rule]]:
    """Return each method of each route of the API, with its URL rule."""
    return [
        (method, rule)
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        if not rule.endpoint.startswith(_EXCLUDED)
    ]


def build_document(app: Flask) -> dict[str, Any]:
    """Build the document. It does not depend on the settings, and reveals none of them."""
    refs, definitions = _define_models()
    errors = _describe_errors()
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for method, rule in list_operations(app):
        view = app.view_functions[rule.endpoint]
        guard = find_guard(view) or RouteGuard()
        operation = OPERATIONS[method, rule.rule]
        summary, _, rest = (view.__doc__ or "").strip().partition("\n")
        error_format = _find_error_format(view, rule.rule)
        described: dict[str, Any] = {
            "operationId": f"{method.lower()}.{rule.endpoint}",
            "summary": summary,
            "tags": [rule.rule.split("/")[2] if rule.rule.count("/") > 1 else "server"],
            "parameters": _list_parameters(rule, operation),
            "responses": _list_responses(
                operation, {} if guard.is_public and method == "GET" else errors[error_format]
            ),
            "security": _list_security(guard),
        }
        if rest.strip():
            described["description"] = " ".join(rest.split())
        if operation.bodies:
            described["requestBody"] = _describe_body(rule.rule, operation, refs)
        paths[_VARIABLE.sub(r"{\1}", rule.rule)][method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Gatehouse",
            "version": "1",
            "description": "Gives a web site access to OpenAI without exposing its API key to browsers.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {**definitions, **COMPONENTS},
            "securitySchemes": _SECURITY,
        },
    }


def _define_models() -> tuple[dict[type[RequestModel], Schema], dict[str, Schema]]:
    """Return a reference to each request model, and the definitions of all."""
    models = {
        model: None
        for operation in OPERATIONS.values()
        for model in (*operation.bodies, operation.form)
        if model is not None
    }
    refs, schema = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    _loosen_unions(schema["$defs"])
    return {model: refs[model, "validation"] for model in models}, schema["$defs"]


def _loosen_unions(schema: Any) -> None:
    """Let a value match several branches of a union without a discriminator: some branches accept future types."""
    if isinstance(schema, dict):
        if "oneOf" in schema and "discriminator" not in schema:
            schema["anyOf"] = schema.pop("oneOf")
        for value in schema.values():
            _loosen_unions(value)
    elif isinstance(schema, list):
        for value in schema:
            _loosen_unions(value)


def _list_parameters(rule: Rule, operation: Operation) -> list[dict[str, Any]]:
    text = {"type": "string"}
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": text} for name in _VARIABLE.findall(rule.rule)
    ]
    headers = [
        *operation.headers,
        ("X-Request-ID", "The id of the request, used in the log and returned in the response."),
    ]
    if operation.is_billed:
        headers.append(("Idempotency-Key", "Identifies a request and its repetitions, which are billed once."))
    for location, named in (("query", operation.query), ("header", headers)):
        parameters += [
            {"name": name, "in": location, "description": meaning, "schema": text} for name, meaning in named
        ]
    return parameters


def _describe_body(path: str, operation: Operation, refs: dict[type[RequestModel], Schema]) -> Schema:
    schemas = [refs[model] for model in operation.bodies]
    json: Schema = {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}
    examples = EXAMPLES | PUT_EXAMPLES
    if path in examples:
        json["example"] = examples[path]
    content = {"application/json": json}
    if operation.form is not None:
        files = {"type": "array", "items": {"type": "string", "contentMediaType": "application/octet-stream"}}
        fields = operation.form.model_json_schema(ref_template=_REF)
        fields["properties"] = {**fields["properties"], "image": files}
        fields["required"] = [*fields.get("required", ()), "image"]
        content["multipart/form-data"] = {"schema": fields}
    return {"required": True, "content": content}


def _list_responses(operation: Operation, errors: dict[str, Schema]) -> dict[str, Schema]:
    success: Schema = {"description": "Done, without a body." if operation.answers is None else "The answer."}
    if operation.answers is not None:
        success["content"] = {kind: {"schema": schema} for kind, schema in operation.answers.items()}
    others: dict[str, Schema] = {}
    for status, (meaning, schema) in operation.other_answers.items():
        others[str(status)] = {"description": meaning}
        if schema is not None:
            others[str(status)]["content"] = {"application/json": {"schema": schema}}
    return {str(operation.status): success, **errors, **others}


def _list_security(guard: RouteGuard) -> list[dict[str, list[str]]]:
    if guard.is_public:
        return []
    if guard.keys_only:
        return [{"key": []}]
    # The empty one: a site may admit visitors without a credential.
    return [{"key": []}, {"visitorToken": []}, {}]


def _find_error_format(view: Any, path: str) -> str:
    if path.startswith("/v1/"):
        return "OpenAIError"
    build_body = getattr(view, "error_body", None)
    if build_body is message_error:
        return "MessageError"
    if build_body is sentence_error:
        return "text"
    return "Error" if build_body in (None, api_error) else "either"


def _describe_errors() -> dict[str, dict[str, Schema]]:
    """Return the responses of all errors, by format and status."""
    meanings: dict[int, list[str]] = defaultdict(list)
    for kind in list_problems():
        summary = (kind.__doc__ or "").partition("\n")[0].rstrip(".")
        meanings[kind.status].append(f"- `{kind.code}`: {summary}")
    text: Schema = {"text/plain": {"schema": {"type": "string"}}}
    contents: dict[str, Schema] = {
        name: {"application/json": {"schema": {"$ref": _REF.format(model=name)}}}
        for name in ("Error", "MessageError", "OpenAIError")
    }
    contents |= {"text": text, "either": contents["Error"] | text}
    return {
        name: {
            str(status): {"description": "\n".join(lines), "content": content}
            for status, lines in meanings.items()
        }
        for name, content in contents.items()
    }
