"""Say what the service answers to a body that it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

from app.models.families.refusals import chat, common, responses
from app.models.families.refusals.refusal import Refusal
from app.models.families.refusals.request import Endpoint, Request

_ENDPOINTS: dict[str, tuple[Endpoint, Callable[[Request], Iterator[Refusal]]]] = {
    "/chat/completions": ("chat", chat.find_refusals),
    "/responses": ("responses", responses.find_refusals),
    "/embeddings": ("embeddings", common.find_unknown_parameters),
    "/moderations": ("moderations", common.find_unknown_parameters),
}


def find_refusal(path: str, body: dict[str, Any], *, today: date | None = None) -> Refusal | None:
    """Return what OpenAI answers to a body, where the answer does not depend on what it stores.

    Args:
        path: the request's, with or without `/v1`; other paths than those of OpenAI are never refused.
        body: as it was sent.
        today: on which models may be gone.

    Returns:
        the refusal, or None if nothing is known against the body.
    """
    name, find = _ENDPOINTS.get(path.removeprefix("/v1"), (None, None))
    if name is None or find is None:
        return None
    return next(find(Request(name, body, today or datetime.now(UTC).date())), None)
