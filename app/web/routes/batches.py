"""Serve /api/batches: many requests sent as one, answered within a day at half the price."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Blueprint, Response, abort, g, request

from app.auth import Principal
from app.auth.address import client_address
from app.auth.errors import Unauthenticated
from app.batches import KINDS, Batch, NewBatch
from app.config import BatchSettings
from app.limits.batch_counting import count_batch
from app.limits.rate_limiter import RateLimited
from app.openai_service.errors import BatchesNotOffered
from app.problems import Forbidden
from app.services import Services, services
from app.web.call_context import build_entry
from app.web.encoders.batch_results import encode_results
from app.web.guards import needs
from app.web.media.intake import MediaIntake
from app.web.media.work import begin_work
from app.web.request_body import read_json_list
from app.web.responses import build_adjusted_headers, plain_json_response
from app.web.schemas.batches import (
    BATCH_ID,
    MAX_VALUES_PER_REQUEST,
    BatchItem,
    CreateBatchRequest,
    Submitter,
    build_batch_response,
    find_batch_owner,
    parse_list_query,
)

bp = Blueprint("batches", __name__, url_prefix="/batches")


@bp.post("")
@needs(*KINDS)
def create() -> Response:
    """Create a batch: many requests, answered within a day at half the price."""
    principal, built = _require_principal(), services()
    _check_may_submit(principal, built.config.batching)
    settings = built.config.batching
    body, embedded = read_json_list(
        CreateBatchRequest,
        BatchItem,
        "requests",
        max_values=settings.max_requests * MAX_VALUES_PER_REQUEST,
        find_urls=CreateBatchRequest.list_urls,
    )
    new, adjusted = body.to_batch(
        settings,
        built.openai_batches,
        built.prompts.restrict_to(principal),
        MediaIntake(begin_work, embedded),
        built.schemas,
        Submitter(principal.max_tokens, built.pseudonyms.of(principal.tenant, principal.user)),
    )
    if not principal.may(new.kind):
        raise Forbidden
    address = client_address(request)
    if g.idempotent is not None:
        g.idempotent.note_sent(silent_s=settings.timeout_s)  # there is no progress to report until it is sent
    with _count_requests(built, principal, address, new):
        batch = built.batches.submit(
            new, build_entry(new.kind, new.model), built.limits.spending(principal, address)
        )
    response = plain_json_response(build_batch_response(batch, principal), status=201)
    response.headers["Location"] = f"{request.path}/{batch.id}"
    response.headers.extend(build_adjusted_headers(adjusted))
    return response


@bp.get("")
@needs(*KINDS, "admin")
def show_all() -> Response:
    """List the caller's batches, newest first."""
    principal = _require_principal()
    query = parse_list_query(request.args, principal)
    kinds = [kind for kind in KINDS if _may_see(principal, kind)]
    page = services().batches.list_page(query.owner, kinds, limit=query.limit + 1, before=query.before)
    shown = page[: query.limit]
    more = shown[-1].id if len(page) > query.limit else None
    return plain_json_response(
        {"batches": [build_batch_response(batch, principal) for batch in shown], "next": more}
    )


@bp.get("/<batch_id>")
@needs(*KINDS, "admin")
def show(batch_id: str) -> Response:
    """Show the status of a batch."""
    return plain_json_response(
        build_batch_response(services().batches.refresh(_find_batch(batch_id)), g.principal)
    )


@bp.get("/<batch_id>/results")
@needs(*KINDS, "admin")
def results(batch_id: str) -> Response:
    """Return the result of each request of a batch, in the order sent."""
    batches = services().batches
    batch = batches.refresh(_find_batch(batch_id))
    answers = batches.read_results(batch)
    response = Response(encode_results(batch, answers, request_id=g.request_id), content_type="application/json")
    response.call_on_close(answers.close)
    return response


@bp.post("/<batch_id>/cancel")
@needs(*KINDS, "admin")
def cancel(batch_id: str) -> Response:
    """Cancel a batch. Results so far remain available, and are billed."""
    return plain_json_response(build_batch_response(services().batches.cancel(_find_batch(batch_id)), g.principal))


@contextmanager
def _count_requests(built: Services, principal: Principal, address: str, new: NewBatch) -> Iterator[None]:
    """Count each request of a batch in the rate limits of its accounts. If the block fails, nothing is counted."""
    try:
        with count_batch(
            built.rate_limiter,
            built.limits.request_rates(principal, address),
            built.limits.token_rates(principal, address),
            requests=len(new.requests),
            count_tokens=lambda: built.batches.bound_tokens(new),
        ) as quota:
            g.quota = quota or g.get("quota")
            yield
    except RateLimited as refusal:
        g.quota = refusal.quota
        raise


def _check_may_submit(principal: Principal, settings: BatchSettings) -> None:
    if settings.submitters == "off":
        raise BatchesNotOffered
    if settings.submitters == "keys" and principal.kind != "key":
        raise Forbidden("Only the site's own server may send batches, with an API key.")


def _find_batch(batch_id: str) -> Batch:
    principal = _require_principal()
    batch = services().batches.get(batch_id, find_batch_owner(principal)) if BATCH_ID.fullmatch(batch_id) else None
    if batch is None:
        abort(404)
    if not _may_see(principal, batch.kind):
        raise Forbidden
    return batch


def _require_principal() -> Principal:
    """Return the principal.

    Raises Unauthenticated without a credential, and Forbidden for a token tied to a prompt.
    """
    principal: Principal = g.principal
    if not principal.is_named:
        raise Unauthenticated("no credential for batches")
    if principal.prompt is not None:
        raise Forbidden("This token is for conversations only.")
    return principal


def _may_see(principal: Principal, kind: str) -> bool:
    return principal.may(kind) or principal.may("admin")
