"""Define the request and response bodies of POST /v1/embeddings."""

from __future__ import annotations

import base64
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Annotated, Any, Literal

import orjson
from pydantic import BeforeValidator, Discriminator, Field, Tag

from app.openai_service import EmbeddingResult, VectorJson
from app.openai_service.errors import UpstreamFailed
from app.runtime.turns import in_turns
from app.upstream_http.spool import SPOOL_BYTES, Spool, release
from app.web.responses import JsonPieces
from app.web.schemas.embeddings import MAX_INPUTS
from app.web.schemas.fields import ModelName, NonEmptyText
from app.web.schemas.v1.fields import OpenAIModel
from app.web.schemas.validation import AS_OTHER, AS_TEXT

MAX_TOKENS = 300_000  # OpenAI's own limit for one request
MAX_VALUES = MAX_TOKENS + 2 * MAX_INPUTS

_BYTES_IN_PIECE = 256 * 1024


def _as_list(value: Any) -> Any:
    """Return a list of inputs, also for a single text or its tokens."""
    is_one = isinstance(value, str) or (isinstance(value, list) and value and isinstance(value[0], int))
    return [value] if is_one else value


def _get_tag(value: Any) -> str:
    return AS_OTHER if isinstance(value, list) and value and isinstance(value[0], list) else AS_TEXT


_Texts = Annotated[list[NonEmptyText], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)]
_Tokens = Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1, fail_fast=True)]
_TokenLists = Annotated[list[_Tokens], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)]
_Inputs = Annotated[
    Annotated[_Texts, Tag(AS_TEXT)] | Annotated[_TokenLists, Tag(AS_OTHER)],
    Discriminator(_get_tag),
]


class EmbeddingsRequest(OpenAIModel):
    """The body of POST /v1/embeddings.

    An input is a text or a list of tokens. Parameters of type Any are ignored.
    """

    input: Annotated[
        _Inputs, BeforeValidator(_as_list, json_schema_input_type=NonEmptyText | _Texts | _Tokens | _TokenLists)
    ]
    model: ModelName | None = None
    dimensions: Annotated[int, Field(ge=1, le=3_072)] | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: Any = None  # the credential identifies the user

    def build_response(self, result: EmbeddingResult) -> bytes | JsonPieces:
        """Return {"object", "data": [{"object", "index", "embedding"}], "model", "usage"} as JSON.

        A large body is written to a file, vector by vector.
        """
        convert = _to_base64 if self.encoding_format == "base64" else bytes
        usage = result.usage.raw if result.usage is not None else {"prompt_tokens": 0, "total_tokens": 0}
        end = b'],"model":%b,"usage":%b}' % (orjson.dumps(result.model), orjson.dumps(usage))
        items = _iter_items(result.vectors, convert)
        if sum(map(len, result.vectors)) <= SPOOL_BYTES:
            return b"".join([_BEGIN, *items, end])
        spool = Spool()
        for piece in chain([_BEGIN], items, [end]):
            spool.add(piece)
        body = memoryview(spool.map())
        return JsonPieces(_iter_pieces(body), len(body))


_BEGIN = b'{"object":"list","data":['


def _iter_items(vectors: Sequence[VectorJson], convert: Callable[[VectorJson], bytes]) -> Iterator[bytes]:
    for index, vector in enumerate(in_turns(vectors)):
        comma = b"," if index else b""
        yield b'%b{"object":"embedding","index":%d,"embedding":%b}' % (comma, index, convert(vector))
        release(vector)


def _to_base64(vector: VectorJson) -> bytes:
    """Return a vector as a JSON string: its numbers as little-endian 32-bit floats in Base64."""
    try:
        numbers = array("f", orjson.loads(vector))
    except orjson.JSONDecodeError:
        raise UpstreamFailed from None
    return b'"%b"' % base64.b64encode(numbers.tobytes())


def _iter_pieces(body: memoryview) -> Iterator[bytes]:
    for start in range(0, len(body), _BYTES_IN_PIECE):
        yield bytes(body[start : start + _BYTES_IN_PIECE])
        release(body)
