"""What the console shows of this server: its models, prompts, tools and schemas, and who answers."""

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
    """A kept prompt that the console offers, with its variables as the fields of a form."""

    name: str
    prompt: Prompt


@dataclass(frozen=True, slots=True)
class ConsoleView:
    """What the template of the console is given.

    Attributes:
        models: those that a request may name, by operation, the default first.
        prompts: the kept prompts.
        tools: the names of the server tools.
        schemas: the names of the kept schemas.
        fault: what only the owner can mend, if there is something.
        chosen: the prompt whose variables are shown.
        once: what the form is known by, so that it is answered once if it is sent twice.
        simulated: what the header X-Simulate can ask for; none if it is refused.
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
        """What the page's scripts need, as JSON."""
        facts: dict[str, Any] = {
            "model": self.models["chat"][0],
            "embeddingModel": self.models["embeddings"][0],
            "needsToken": self.config.auth_required,
            "schema": EXAMPLES["/api/structured"].get("schema"),
        }
        return json.dumps(facts)


def describe_console(built: Services, chosen: str) -> ConsoleView:
    """Return what the console shows, with the fields of a chosen prompt."""
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
