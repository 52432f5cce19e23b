"""Warns at start about configured models whose shutdown OpenAI has announced."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from app.models.families import find_family
from app.openai_service import Upstream

log = logging.getLogger(__name__)


def warn_of_models(upstream: Upstream, models: Iterable[str]) -> None:
    """Log one warning for each model whose shutdown is announced."""
    if not upstream.has_openai_models:
        return
    for model in dict.fromkeys(models):
        family = find_family(model)
        if family is not None and family.shutdown is not None:
            log.warning("model.shutdown_announced", extra={"model": model, "date": family.shutdown.isoformat()})
