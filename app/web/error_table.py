"""Write the table of errors in docs/errors.md from the error classes, for `make errors`."""

# ruff: noqa: F401

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

# Every module that defines an error. Importing it registers its classes as subclasses of Problem.
import app.auth.errors
import app.batches.records
import app.billing.ledger.records
import app.json_schema.errors
import app.json_schema.strict_rules
import app.limits.concurrency
import app.limits.rate_limiter
import app.media.images.intake
import app.openai_service.errors
import app.openai_service.responses.generated_images
import app.openai_service.responses.hosted_tools
import app.runtime.lifecycle
import app.runtime.store_guard
import app.safety.deliveries
import app.safety.reported_users
import app.storage.shared_state.replays.errors
import app.web.call_context
import app.web.errors
import app.web.media.files
import app.web.media.images
import app.web.origins
import app.web.replays.client
import app.web.request_body
import app.web.routes.v1.models
from app.problems import Problem

BEGIN = "<!-- errors: written by `make errors` -->"
END = "<!-- /errors -->"


def list_problems() -> list[type[Problem]]:
    """Return the Problem classes that define a sentence, sorted by status, code and name."""
    found = {kind for kind in _walk_subclasses(Problem) if "sentence" in vars(kind)}
    return sorted(found, key=lambda kind: (kind.status, kind.code, kind.__name__))


def render_table() -> str:
    """Return the table as Markdown, with one row per class."""
    rows = ["| status | `code` | when | `error` | `Retry-After` (s) |", "| --- | --- | --- | --- | --- |"]
    for kind in list_problems():
        summary = (kind.__doc__ or "").partition("\n")[0].rstrip(".")
        wait = f"{kind.retry_after_s:g}" if kind.retry_after_s is not None else ""
        rows.append(f"| {kind.status} | `{kind.code}` | {summary} | {_render_sentence(kind)} | {wait} |")
    return "\n".join(rows)


def replace_table(page: str) -> str:
    """Return a page with the text between its two markers replaced by the table."""
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{render_table()}\n{END}{after}"


def _render_sentence(kind: type[Problem]) -> str:
    sentence = f"{kind.field}: {kind.sentence}" if kind.field else kind.sentence
    return f"{sentence} (Or a more specific one.)" if kind.message_is_safe else sentence


def _walk_subclasses(kind: type[Problem]) -> Iterator[type[Problem]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from _walk_subclasses(subclass)


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(replace_table(path.read_text(encoding="utf-8")), encoding="utf-8")
