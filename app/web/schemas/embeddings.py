"""Define the request and response bodies of POST /api/embeddings and /api/embeddings/similarity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import orjson
from pydantic import Discriminator, Field, Tag

from app.openai_service import EmbeddingResult, VectorJson, cosine_similarities
from app.problems import InvalidRequest
from app.upstream_http.spool import SPOOL_BYTES, release
from app.web.responses import JsonPieces
from app.web.schemas.fields import ModelName, NonEmptyText
from app.web.schemas.validation import AS_OTHER, AS_TEXT, RequestModel, get_union_tag

MAX_INPUTS = 2_048  # OpenAI's own limit for one request

_BEGIN = b'{"embeddings":['
_VECTORS_IN_PIECE = 16

Inputs = Annotated[list[NonEmptyText], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)]


OneOrMore = Annotated[
    Annotated[NonEmptyText, Tag(AS_TEXT)] | Annotated[Inputs, Tag(AS_OTHER)], Discriminator(get_union_tag)
]


class EmbeddingsRequest(RequestModel):
    """The body of POST /api/embeddings."""

    input: OneOrMore
    model: ModelName | None = None
    dimensions: Annotated[int, Field(ge=1, le=3_072)] | None = None

    def list_texts(self) -> list[str]:
        """Return the input as a list."""
        return [self.input] if isinstance(self.input, str) else self.input


def build_embeddings_response(result: EmbeddingResult) -> bytes:
    """Return {"embeddings": [[float]], "model", "usage"} as JSON. Numbers have the digits that the upstream sent.

    "cached" is the number of vectors from the cache, if any.
    """
    return b"".join([_BEGIN, b",".join(result.vectors), _build_end(result)])


def build_embeddings_body(result: EmbeddingResult) -> bytes | JsonPieces:
    """Return the body of build_embeddings_response(), in pieces if it is large."""
    vectors, end = result.vectors, _build_end(result)
    length = len(_BEGIN) + sum(map(len, vectors)) + len(vectors) - 1 + len(end)
    if length <= SPOOL_BYTES:
        return build_embeddings_response(result)
    return JsonPieces(_iter_pieces(vectors, end), length)


def _iter_pieces(vectors: Sequence[VectorJson], end: bytes) -> Iterator[bytes]:
    yield _BEGIN
    for start in range(0, len(vectors), _VECTORS_IN_PIECE):
        piece = vectors[start : start + _VECTORS_IN_PIECE]
        yield (b"," if start else b"") + b",".join(piece)
        release(piece[-1])
    yield end


def _build_end(result: EmbeddingResult) -> bytes:
    return b'],"model":%b,"usage":%b%b}' % (
        orjson.dumps(result.model),
        orjson.dumps(result.usage and result.usage.raw),
        b',"cached":%d' % result.cached if result.cached else b"",
    )


class SimilarityRequest(RequestModel):
    """Two texts `a` and `b`, or a `query` and the `documents` to rank by similarity to it."""

    a: NonEmptyText | None = None
    b: NonEmptyText | None = None
    query: NonEmptyText | None = None
    documents: (
        Annotated[list[NonEmptyText], Field(min_length=1, max_length=MAX_INPUTS - 1, fail_fast=True)] | None
    ) = None
    top_k: Annotated[int, Field(ge=1)] | None = None
    model: ModelName | None = None

    def list_texts(self) -> list[str]:
        """Return the texts to embed. The first is compared with the others.

        Raises:
            InvalidRequest: neither pair of fields is complete, or fields of both are given.
        """
        pair, search = (self.a, self.b), (self.query, self.documents)
        if any(part is not None for part in pair) and any(part is not None for part in (*search, self.top_k)):
            raise InvalidRequest("Give either a and b, or query and documents.")
        if self.query is not None or self.documents is not None or self.top_k is not None:
            if self.query is None:
                raise InvalidRequest.missing("query")
            if self.documents is None:
                raise InvalidRequest.missing("documents")
            return [self.query, *self.documents]
        if self.a is None:
            raise InvalidRequest("Missing a (with b, or query with documents).")
        if self.b is None:
            raise InvalidRequest.missing("b")
        return [self.a, self.b]

    def build_response(self, result: EmbeddingResult) -> dict[str, Any]:
        """Return {"similarity"}, or {"results": [{"index", "similarity", "document"}]}, the most similar first.

        "cached" is as in build_embeddings_response().
        """
        body = self._compare(result)
        return {**body, "cached": result.cached} if result.cached else body

    def _compare(self, result: EmbeddingResult) -> dict[str, Any]:
        similarities = cosine_similarities(result.vectors[0], result.vectors[1:])
        if self.documents is None:
            return {"similarity": similarities[0]}
        best_first = sorted(range(len(similarities)), key=lambda index: -similarities[index])
        return {
            "results": [
                {"index": index, "similarity": similarities[index], "document": self.documents[index]}
                for index in best_first[: self.top_k]
            ]
        }
