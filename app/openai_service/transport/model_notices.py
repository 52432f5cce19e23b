"""A warning at start about configured models whose shutdown OpenAI has announced."""

from __future__ import annotations

import importlib.util
import logging
import re
from pathlib import Path

from app.config import Config
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


def warn_of_models(config: Config) -> None:
    """Log one warning for each configured model whose shutdown is announced."""
    if not Upstream.from_settings(config.upstream).has_openai_models:
        return
    configured = (
        config.chat_model,
        *config.chat_fallback_models,
        config.vision_model,
        *config.allowed_models,
    )
    shutdowns = announced_shutdowns()
    for model in dict.fromkeys(configured):
        if model in shutdowns:
            log.warning("model.shutdown_announced", extra={"model": model, "date": shutdowns[model]})
