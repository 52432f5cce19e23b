"""A warning at start about configured models whose shutdown OpenAI has announced."""

from __future__ import annotations

import importlib.util
import logging
import re
from collections.abc import Iterable
from pathlib import Path

from app.openai_service import Upstream

log = logging.getLogger(__name__)

_NOTICE = re.compile(r'- ((?:"[^"]+",?\s*)+):\s+Announced shutdown date:\s+(\d{4}-\d{2}-\d{2})')


def announced_shutdowns() -> dict[str, str]:
    """Return the announced shutdown date (ISO) by model, from the installed `openai` package.

    The package has the list only in a docstring of its source, so the source is read.
    """
    spec = importlib.util.find_spec("openai")
    if spec is None or not spec.submodule_search_locations:
        return {}
    source = Path(spec.submodule_search_locations[0], "types", "shared", "chat_model.py")
    try:
        text = source.read_text(encoding="utf-8")
    except OSError:
        return {}
    return {model: date for models, date in _NOTICE.findall(text) for model in re.findall(r'"([^"]+)"', models)}


def warn_of_models(upstream: Upstream, models: Iterable[str]) -> None:
    """Log one warning for each of the upstream's models whose shutdown is announced."""
    if not upstream.has_openai_models:
        return
    shutdowns = announced_shutdowns()
    for model in dict.fromkeys(models):
        if model in shutdowns:
            log.warning("model.shutdown_announced", extra={"model": model, "date": shutdowns[model]})
