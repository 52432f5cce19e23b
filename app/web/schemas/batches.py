"""Define the request and response bodies of /api/batches."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field

from app.auth.principal import Principal
from app.batches import Batch, BatchOwner, BatchRequest, Kind, NewBatch
from app.config import BatchSettings
from app.openai_service import OpenAIBatches
from app.openai_service.errors import InputTooLong, ModelNotOffered
from app.problems import Forbidden, InvalidRequest
from app.prompts.selection import PromptSelection
from app.runtime.times import format_iso
from app.runtime.turns import in_turns
from app.safety.pseudonyms import Pseudonym
from app.web.media.intake import MediaIntake
from app.web.schemas.chat import ChatRequest
from app.web.schemas.embeddings import EmbeddingsRequest
from app.web.schemas.fields import Name
from app.web.schemas.validation import RequestModel, prefix_error

BATCH_ID = re.compile(r"batch_[0-9a-f]{28}")

# OpenAI's own limits for one batch.
_MAX_REQUESTS = 50_000
_MAX_TEXTS = 50_000
MAX_VALUES_PER_REQUEST = 100
"""Of the JSON of a batch, on average."""
_MAX_PAGE = 100
_DEFAULT_PAGE = 20


class BatchItem(RequestModel):
    """One request of a batch: the body of POST /api/chat under `chat`, or of POST /api/embeddings under `embeddings`."""

    id: Name | None = None
    chat: ChatRequest | None = None
    embeddings: EmbeddingsRequest | None = None


class CreateBatchRequest(RequestModel):
    """The body of POST /api/batches."""

    requests: Annotated[list[BatchItem], Field(min_length=1, max_length=_MAX_REQUESTS, fail_fast=True)]

    def to_batch(
        self,
        settings: BatchSettings,
        upstream: OpenAIBatches,
        prompts: PromptSelection,
        media: MediaIntake,
        *,
        max_tokens: int | None,
        pseudonym: Pseudonym,
    ) -> tuple[NewBatch, dict[str, str]]:
        """Return the batch, with each request as its own route would send it, and the adjusted parameters.

        Args:
            settings: limits of batches.
            upstream: builds the requests.
            prompts: the stored prompts that this user may use.
            media: prepares the images.
            max_tokens: the user's own ceiling for each answer, if any.
            pseudonym: the user as the upstream knows them.

        Raises:
            InvalidRequest: a request is invalid, or they cannot be in one batch.
            Forbidden: a model is not offered.
        """
        if len(self.requests) > settings.max_requests:
            raise InvalidRequest(f"must be at most {settings.max_requests}.", field="requests")
        kind = _check_kind(self.requests)
        ids = _assign_ids(self.requests)
        requests: list[BatchRequest] = []
        adjusted: dict[str, str] = {}
        model: str | None = None
        texts = 0
        for place, item in enumerate(in_turns(self.requests)):
            where = f"requests.{place}.{kind}"
            try:
                if item.chat is not None:
                    own_model, body, changed = _build_chat(
                        item.chat, upstream, prompts, media, max_tokens=max_tokens, pseudonym=pseudonym
                    )
                    adjusted |= changed
                else:
                    assert item.embeddings is not None, "_check_kind() has checked it"
                    embeddings = item.embeddings
                    own_model, body = upstream.build_embeddings_request(
                        embeddings.texts(), model=embeddings.model, dimensions=embeddings.dimensions
                    )
                    texts += len(body["input"])
            except (InvalidRequest, Forbidden) as error:
                raise prefix_error(error, where) from None
            except InputTooLong:
                raise InvalidRequest("the conversation is longer than may be sent.", field=where) from None
            except ModelNotOffered:
                raise Forbidden("this model is not offered here.", field=f"{where}.model") from None
            if model not in (None, own_model):
                raise InvalidRequest("must be the same for all requests of a batch.", field=f"{where}.model")
            model = own_model
            requests.append(BatchRequest(ids[place], body))
        if texts > _MAX_TEXTS:
            raise InvalidRequest(f"must have at most {_MAX_TEXTS} texts in all.", field="requests")
        return NewBatch(kind, str(model), requests), adjusted


def _build_chat(
    chat: ChatRequest,
    upstream: OpenAIBatches,
    prompts: PromptSelection,
    media: MediaIntake,
    *,
    max_tokens: int | None,
    pseudonym: Pseudonym,
) -> tuple[str, dict[str, Any], dict[str, str]]:
    prompt = prompts.select(chat)
    if prompt is not None and prompt.tools:
        raise InvalidRequest("this prompt has server tools, which do not run in a batch.", field="promptName")
    if chat.cache:
        raise InvalidRequest("not accepted in a batch.", field="cache")
    call = chat.to_call(prompts, media, request_id="")
    return upstream.build_chat_request(call, max_tokens=max_tokens, pseudonym=pseudonym)


def _check_kind(items: Sequence[BatchItem]) -> Kind:
    kind: Kind = "chat" if items[0].chat is not None else "embeddings"
    for place, item in enumerate(items):
        if item.chat is None and item.embeddings is None:
            raise InvalidRequest(f"Missing requests.{place}.chat (or requests.{place}.embeddings).")
        if item.chat is not None and item.embeddings is not None:
            raise InvalidRequest("give either chat or embeddings.", field=f"requests.{place}")
        if getattr(item, kind) is None:
            raise InvalidRequest(
                f"all requests of a batch are of one kind, which is {kind} here.", field=f"requests.{place}"
            )
    return kind


def _assign_ids(items: Sequence[BatchItem]) -> list[str]:
    """Return the ids of the requests: the given one, or else the index."""
    ids: dict[str, int] = {}
    for place, item in enumerate(items):
        name = str(place) if item.id is None else item.id
        if name in ids:
            raise InvalidRequest(f"is that of requests.{ids[name]} as well.", field=f"requests.{place}.id")
        ids[name] = place
    return list(ids)


@dataclass(frozen=True, slots=True)
class ListQuery:
    """The query of GET /api/batches."""

    owner: BatchOwner
    limit: int
    before: str | None


def batch_owner(principal: Principal) -> BatchOwner:
    """Return the owner of the batches that a principal may see: the user, or for an `admin` the tenant or everyone."""
    if principal.administers_all:
        return BatchOwner(None, None)
    return BatchOwner(principal.tenant, None if principal.may("admin") else principal.user)


def parse_list_query(args: Mapping[str, str], principal: Principal) -> ListQuery:
    """Parse the query of GET /api/batches.

    Raises:
        InvalidRequest: a parameter is not valid.
    """
    owner = batch_owner(principal)
    filters = (*(("tenant",) if owner.tenant is None else ()), *(("user",) if owner.user is None else ()))
    for name in args:
        if name not in ("limit", "before", *filters):
            raise InvalidRequest("is not known here.", field=name[:50])
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


def batch_response(batch: Batch, principal: Principal) -> dict[str, Any]:
    """Return {"id", "kind", "model", "status", "createdAt", "endedAt", "counts", "costMicroUsd"}.

    An admin also gets the "user", and one of all tenants the "tenant".
    """
    body = {
        "id": batch.id,
        "kind": batch.kind,
        "model": batch.model,
        "status": batch.status,
        "createdAt": _format_time(batch.created_at),
        "endedAt": None if batch.ended_at is None else _format_time(batch.ended_at),
        "counts": {"total": batch.total, "completed": batch.completed, "failed": batch.failed},
        "costMicroUsd": batch.cost_micro_usd,
    }
    if principal.may("admin"):
        body["user"] = batch.user
    if principal.administers_all:
        body["tenant"] = batch.tenant
    return body


def _format_time(at_ms: int) -> str:
    return format_iso(at_ms // 1000)
