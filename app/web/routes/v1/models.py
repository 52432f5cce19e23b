"""Serve /v1/models: the models that the caller may use."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, g, jsonify
from flask.blueprints import BlueprintSetupState
from werkzeug.routing import PathConverter

from app.problems import Problem
from app.services import services
from app.web.guards import needs

bp = Blueprint("models", __name__, url_prefix="/models")

# Each scope has the name of the operation that it allows.
_SCOPES = ("chat", "vision", "structured", "embeddings")


class _ModelName(PathConverter):
    """Matches a model name with slashes: servers such as vLLM name a model by its path, such as `/models/Qwen`."""

    part_isolating = False
    regex = ".+?"


@bp.record_once
def _add_converter(state: BlueprintSetupState) -> None:
    state.app.url_map.converters["model_name"] = _ModelName


class ModelNotFound(Problem):
    """`/v1/models`: the site does not offer a model of this name to the caller."""

    status = 404
    code = "model_not_found"
    field = "model"
    sentence = "this model does not exist, or you may not use it."


@bp.get("")
@needs(*_SCOPES)
def list_all() -> Response:
    """List the models."""
    return jsonify({"object": "list", "data": [_describe(model) for model in _find_models()]})


@bp.get("/<model_name:model>")
@needs(*_SCOPES)
def show(model: str) -> Response:
    """Describe one model."""
    if model not in _find_models():
        raise ModelNotFound
    return jsonify(_describe(model))


def _find_models() -> list[str]:
    """Return the models of each operation that the caller may use, the default first."""
    offered = services().config.models.offered
    allowed = [model for scope in _SCOPES if g.principal.may(scope) for model in offered[scope]]
    return list(dict.fromkeys(allowed))


def _describe(model: str) -> dict[str, Any]:
    # The time and the owner are unknown, but clients require the fields.
    return {"id": model, "object": "model", "created": 0, "owned_by": "system"}
