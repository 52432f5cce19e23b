"""Define the request and response bodies of /api/batches."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field

from app.auth.principal import Principal
from app.batches import KINDS, Batch, BatchOwner, BatchRequest, Kind, NewBatch
from app.batches.records import PATHS
from app.config import BatchSettings
from app.json_schema.catalog import NamedSchemas
from app.json_schema.errors import SchemaNotUsable
from app.json_schema.strict_rules import InvalidSchema
from app.openai_service import CHAT_PATH, AnswerFormat, ChatCall, OpenAIBatches
from app.openai_service.errors import InputTooLong, ModelNotOffered
from app.problems import Forbidden, InvalidRequest
from app.prompts.selection import PromptSelection
from app.runtime.times import format_iso
from app.runtime.turns import in_turns
from app.safety.pseudonyms import Pseudonym
from app.web.media.images import InvalidImageInput
from app.web.media.intake import MediaIntake
from app.web.media.parts import list_urls
from app.web.schemas.chat import ChatRequest
from app.web.schemas.embeddings import EmbeddingsRequest
from app.web.schemas.fields import Name, PromptFields
from app.web.schemas.sealed_reasoning import open_reasoning
from app.web.schemas.structured import StructuredRequest
from app.web.schemas.validation import RequestModel, prefix_error
from app.web.schemas.vision import VisionRequest

BATCH_ID = re.compile(r"batch_[0-9a-f]{28}")

# OpenAI's own limits for one batch.
_MAX_REQUESTS = 50_000
_MAX_TEXTS = 50_000
MAX_VALUES_PER_REQUEST = 100
"""The maximum number of JSON values, on average over the requests of a batch."""
_MAX_PAGE = 100
_DEFAULT_PAGE = 20
_OTHER_KINDS = ", ".join(KINDS[1:])


class BatchItem(RequestModel):
    """One request of a batch: the JSON body of a route, in the field with the name of its kind."""

    id: Name | None = None
    chat: ChatRequest | None = None
    embeddings: EmbeddingsRequest | None = None
    vision: VisionRequest | None = None
    structured: StructuredRequest | None = None

    def list_urls(self) -> list[str]:
        """Return the URLs of the images, and the data of the files."""
        conversation = self.chat or self.structured
        if conversation is not None:
            return list_urls(conversation.messages)
        return [] if self.vision is None else self.vision.list_urls()


@dataclass(frozen=True, slots=True)
class Submitter:
    """The caller who submits a batch.

    Attributes:
        max_tokens: the caller's maximum number of tokens of an answer; None for no maximum.
        pseudonym: the caller's identifier at the upstream.
    """

    max_tokens: int | None
    pseudonym: Pseudonym


class CreateBatchRequest(RequestModel):
    """The body of POST /api/batches."""

    requests: Annotated[list[BatchItem], Field(min_length=1, max_length=_MAX_REQUESTS, fail_fast=True)]

    def list_urls(self) -> list[str]:
        """Return the URLs of all images, and the data of all files."""
        return [url for item in self.requests for url in item.list_urls()]

    def to_batch(
        self,
        settings: BatchSettings,
        upstream: OpenAIBatches,
        prompts: PromptSelection,
        media: MediaIntake,
        schemas: NamedSchemas,
        submitter: Submitter,
    ) -> tuple[NewBatch, dict[str, str]]:
        """Return the batch, with each request as its own route would send it, and the adjusted parameters.

        Args:
            settings: the limits of batches.
            upstream: builds the requests.
            prompts: the stored prompts that this user may use.
            media: prepares the images and files.
            schemas: the site's named schemas.
            submitter: the caller.

        Raises:
            InvalidRequest, InvalidImageInput, InvalidSchema: a request is invalid, or the requests cannot be in
                one batch.
            Forbidden: a model is not offered.
        """
        if len(self.requests) > settings.max_requests:
            raise InvalidRequest(f"must have at most {settings.max_requests} requests.", field="requests")
        kind = _check_kind(self.requests)
        ids = _assign_ids(self.requests)
        builder = _Builder(upstream, prompts, media, schemas, submitter)
        requests: list[BatchRequest] = []
        model: str | None = None
        texts = 0
        for index, item in enumerate(in_turns(self.requests)):
            where = f"requests.{index}.{kind}"
            try:
                built = builder.build(item)
            except (InvalidRequest, Forbidden, InvalidImageInput, SchemaNotUsable) as error:
                raise prefix_error(error, where) from None
            except InvalidSchema as error:
                raise prefix_error(SchemaNotUsable(str(error)), where) from None
            except InputTooLong:
                raise InvalidRequest("the conversation is too long.", field=where) from None
            except ModelNotOffered:
                raise Forbidden("this model is not offered here.", field=f"{where}.model") from None
            if model not in (None, built.model):
                raise InvalidRequest("must be the same for all requests of a batch.", field=f"{where}.model")
            model = built.model
            texts += len(built.body.get("input", ()))
            requests.append(BatchRequest(ids[index], built.body, built.answer_format))
        if texts > _MAX_TEXTS:
            raise InvalidRequest(f"must have at most {_MAX_TEXTS} texts in all.", field="requests")
        path = PATHS[kind]
        if path == CHAT_PATH:
            path, bodies, changed = upstream.adapt_chat_requests(str(model), [each.body for each in requests])
            builder.adjusted |= changed
            requests = [replace(each, body=body) for each, body in zip(requests, bodies, strict=True)]
        return NewBatch(kind, str(model), requests, path), builder.adjusted


@dataclass(frozen=True, slots=True)
class _Built:
    """The body of one request as it is sent, and the format of its answer."""

    model: str
    body: dict[str, Any]
    answer_format: str = ""


class _Builder:
    """Builds the requests of a batch as their own routes would send them."""

    def __init__(
        self,
        upstream: OpenAIBatches,
        prompts: PromptSelection,
        media: MediaIntake,
        schemas: NamedSchemas,
        submitter: Submitter,
    ) -> None:
        self._upstream = upstream
        self._prompts = prompts
        self._media = media
        self._schemas = schemas
        self._submitter = submitter
        self.adjusted: dict[str, str] = {}

    def build(self, item: BatchItem) -> _Built:
        if item.embeddings is not None:
            texts = item.embeddings
            return _Built(
                *self._upstream.build_embeddings_request(
                    texts.list_texts(), model=texts.model, dimensions=texts.dimensions
                )
            )
        if (given := item.structured or item.chat) is not None:
            open_reasoning(given.messages)
        if item.structured is not None:
            self._check(item.structured, item.structured.cache)
            structured = item.structured.to_structured_call(
                self._prompts, self._schemas, self._media, request_id=""
            )
            call = structured.call
            answer_format = AnswerFormat(call.response_format, structured.original, structured.normalized)
            answer_format.make_checker()  # raises for a schema that cannot be checked
            return self._build_chat(call, answer_format.dump())
        conversation = item.vision or item.chat
        assert conversation is not None, "_check_kind() has checked it"
        self._check(conversation, item.chat.cache if item.chat is not None else None)
        return self._build_chat(conversation.to_call(self._prompts, self._media, request_id=""))

    def _check(self, fields: PromptFields, cache: bool | None) -> None:
        prompt = self._prompts.select(fields)
        if prompt is not None and prompt.tools:
            raise InvalidRequest("this prompt has server tools, which do not run in a batch.", field="promptName")
        if cache:
            raise InvalidRequest("not accepted in a batch.", field="cache")

    def _build_chat(self, call: ChatCall, answer_format: str = "") -> _Built:
        model, body, changed = self._upstream.build_chat_request(
            call, max_tokens=self._submitter.max_tokens, pseudonym=self._submitter.pseudonym
        )
        self.adjusted |= changed
        return _Built(model, body, answer_format)


def _check_kind(items: Sequence[BatchItem]) -> Kind:
    first: Kind | None = None
    for index, item in enumerate(items):
        kinds = [kind for kind in KINDS if getattr(item, kind) is not None]
        if not kinds:
            raise InvalidRequest(f"Missing requests.{index}.chat (or {_OTHER_KINDS}).")
        if len(kinds) > 1:
            raise InvalidRequest(f"give only one of {', '.join(kinds)}.", field=f"requests.{index}")
        first = first or kinds[0]
        if kinds[0] != first:
            raise InvalidRequest(
                f"must be of the kind {first}, as the first request of the batch.", field=f"requests.{index}"
            )
    assert first is not None, "a batch has requests"
    return first


def _assign_ids(items: Sequence[BatchItem]) -> list[str]:
    """Return the ids of the requests: the given id, or the index of the request."""
    ids: dict[str, int] = {}
    for index, item in enumerate(items):
        name = str(index) if item.id is None else item.id
        if name in ids:
            raise InvalidRequest(f"requests.{ids[name]} has the same id.", field=f"requests.{index}.id")
        ids[name] = index
    return list(ids)


@dataclass(frozen=True, slots=True)
class ListQuery:
    """The query of GET /api/batches."""

    owner: BatchOwner
    limit: int
    before: str | None


def find_batch_owner(principal: Principal) -> BatchOwner:
    """Return the owner of the batches that a principal may see: the user, or for an admin the tenant or all."""
    if principal.administers_all:
        return BatchOwner(None, None)
    return BatchOwner(principal.tenant, None if principal.may("admin") else principal.user)


def parse_list_query(args: Mapping[str, str], principal: Principal) -> ListQuery:
    """Parse the query of GET /api/batches.

    Raises:
        InvalidRequest: a parameter is not valid.
    """
    owner = find_batch_owner(principal)
    filters = (*(("tenant",) if owner.tenant is None else ()), *(("user",) if owner.user is None else ()))
    for name in args:
        if name not in ("limit", "before", *filters):
            raise InvalidRequest("is not a parameter of this route.", field=name[:50])
    for name in filters:
        if "\0" in args.get(name, ""):
            raise InvalidRequest("must not contain the character NUL.", field=name)
    owner = replace(owner, **{name: args[name] for name in filters if name in args})
    limit, before = args.get("limit", str(_DEFAULT_PAGE)), args.get("before")
    if not (re.fullmatch(r"[0-9]{1,3}", limit) and 1 <= int(limit) <= _MAX_PAGE):
        raise InvalidRequest(f"must be from 1 to {_MAX_PAGE}.", field="limit")
    if before is not None and not BATCH_ID.fullmatch(before):
        raise InvalidRequest("must be the id of a batch.", field="before")
    return ListQuery(owner, int(limit), before)


def build_batch_response(batch: Batch, principal: Principal) -> dict[str, Any]:
    """Return {"id", "kind", "model", "status", "createdAt", "endedAt", "counts", "costMicroUsd"}.

    An admin also gets the "user", and one of all tenants the "tenant".
    """
    body = {
        "id": batch.id,
        "kind": batch.kind,
        "model": batch.model,
        "status": batch.status,
        "createdAt": format_iso(batch.created_at // 1000),
        "endedAt": None if batch.ended_at is None else format_iso(batch.ended_at // 1000),
        "counts": {"total": batch.total, "completed": batch.completed, "failed": batch.failed},
        "costMicroUsd": batch.cost_micro_usd,
    }
    if principal.may("admin"):
        body["user"] = batch.user
    if principal.administers_all:
        body["tenant"] = batch.tenant
    return body
