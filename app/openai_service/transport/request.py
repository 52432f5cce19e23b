"""UpstreamRequest: one request to the upstream, with its JSON and the bounds of its tokens made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.openai_service.results import CallRecord
from app.token_counts.estimates import ImageInput, bound_input_bytes, find_images, max_output_tokens
from app.upstream_http.deadline import Exchange

_AROUND_MODEL = len(b'"model":,')


def encode(model: str, body: Mapping[str, Any]) -> bytes:
    """Return the JSON of a request."""
    return orjson.dumps({"model": model, **body})


@dataclass(slots=True)
class UpstreamRequest:
    """A request in OpenAI's own form, for any of the models that it may be sent to.

    Attributes:
        path: of the operation, below the API's root.
        body: all of it but the model. It is never changed in place, but replaced by replace_body().
    """

    path: str
    body: dict[str, Any]
    _json: bytes = field(default=b"", init=False, repr=False)
    _json_model: str | None = field(default=None, init=False, repr=False)
    _body_bytes: int | None = field(default=None, init=False, repr=False)
    _images: Sequence[ImageInput] | None = field(default=None, init=False, repr=False)

    @property
    def images(self) -> Sequence[ImageInput]:
        """The images of its messages, in their order."""
        if self._images is None:
            self._images = find_images(self.body)
        return self._images

    @property
    def max_output_tokens(self) -> int:
        """The most tokens that the upstream may write: none for embeddings."""
        return max_output_tokens(self.body)

    def replace_body(self, body: dict[str, Any]) -> None:
        self.body = body
        self._json_model = self._body_bytes = self._images = None

    def encode(self, model: str) -> bytes:
        """Return its JSON for a model."""
        if self._json_model != model:
            self._json = encode(model, self.body)
            self._json_model = model
        return self._json

    def input_bound(self, model: str) -> int:
        """Return the most tokens that its input can have for a model."""
        if self._body_bytes is None:
            self._body_bytes = len(self.encode(model)) - _AROUND_MODEL - len(orjson.dumps(model))
        return bound_input_bytes(self._body_bytes, self.images, model)


@dataclass(slots=True)
class PendingRequest(UpstreamRequest):
    """A request that waits for its answer.

    Attributes:
        models: to ask, in their order.
        exchange: until when, and for whom.
        adjusted: what in the body is otherwise than the caller asked for, whatever the model.
    """

    models: Sequence[str]
    exchange: Exchange
    record: CallRecord
    adjusted: dict[str, str] = field(default_factory=dict)
