"""Find the error response of OpenAI to a body that it refuses."""

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
    """Return the refusal of a body, as far as it does not depend on objects stored at OpenAI.

    Args:
        path: the path of the request, with or without `/v1`. Paths that OpenAI does not have are never refused.
        body: the unvalidated body.
        today: the day that decides which models are shut down; None means the current one.

    Returns:
        the refusal; None if no rule refuses the body.
    """
    name, find = _ENDPOINTS.get(path.removeprefix("/v1"), (None, None))
    if name is None or find is None:
        return None
    return next(find(Request(name, body, today or datetime.now(UTC).date())), None)
