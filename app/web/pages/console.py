"""Collect the data of the console: the models, prompts, tools and schemas of this server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.config import Config
from app.config.models import REASONING_EFFORTS, VERBOSITIES
from app.prompts import Prompt
from app.services import Services
from app.web.forms.ask_form import make_once_key
from app.web.openapi.examples import EXAMPLES
from app.web.pages.simulation import list_simulated


@dataclass(frozen=True, slots=True)
class PromptChoice:
    """A stored prompt that the console offers. Its variables are shown as form fields."""

    name: str
    prompt: Prompt


@dataclass(frozen=True, slots=True)
class ConsoleView:
    """The data for the console's template.

    Attributes:
        models: the models that a request may name, by operation, with the default first.
        prompts: the stored prompts.
        tools: the names of the server tools.
        schemas: the names of the stored schemas.
        fault: a problem that only the site's owner can fix; None if there is none.
        chosen: the name of the prompt whose variables are shown.
        once: the idempotency key of the form, so that it is answered once even if it is sent twice.
        simulated: the values of the header X-Simulate and their effects; empty if it is refused.
    """

    config: Config
    models: dict[str, Sequence[str]]
    prompts: Sequence[PromptChoice]
    tools: Sequence[str]
    schemas: Sequence[str]
    fault: str | None
    chosen: str
    once: str
    simulated: dict[str, str]
    efforts: Sequence[str] = REASONING_EFFORTS
    verbosities: Sequence[str] = VERBOSITIES

    @property
    def data(self) -> str:
        """The data that the page's scripts need, as JSON."""
        facts: dict[str, Any] = {
            "model": self.models["chat"][0],
            "embeddingModel": self.models["embeddings"][0],
            "needsToken": self.config.auth_required,
            "schema": EXAMPLES["/api/structured"].get("schema"),
        }
        return json.dumps(facts)


def describe_console(built: Services, chosen: str) -> ConsoleView:
    """Return the data of the console, with the fields of the chosen prompt."""
    config = built.config
    may_simulate = config.is_offline and not config.is_production
    return ConsoleView(
        config=config,
        models={operation: tuple(dict.fromkeys(names)) for operation, names in config.models.offered.items()},
        prompts=[PromptChoice(name, prompt) for name, prompt in sorted(built.prompts.stored.items())],
        tools=sorted(built.toolbox.declared),
        schemas=sorted(built.schemas),
        fault=built.owner_faults.find_hint(),
        chosen=chosen,
        once=make_once_key(),
        simulated=list_simulated() if may_simulate else {},
    )
