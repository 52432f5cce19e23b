"""What is sent beside a conversation about it: whose it is, which part of the prompt cache is its own, who may keep it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.config import AttributionSettings
from app.openai_service.context import Pseudonym
from app.openai_service.transport.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Attribution:
    """Adds `safety_identifier`, `prompt_cache_key` and `store` to bodies of chat completions.

    Moderation and embeddings have no such fields, and a server that is not OpenAI's may refuse them.
    """

    identifies: bool
    store: bool | None

    @classmethod
    def from_settings(cls, settings: AttributionSettings, upstream: Upstream) -> Attribution:
        """Return what an upstream is told by these settings."""
        knows_fields = upstream.has_openai_fields or settings.identifiers == "always"
        return cls(
            identifies=knows_fields and settings.identifiers != "never",
            store=settings.store if knows_fields else None,
        )

    def build_fields(self, pseudonym: Pseudonym | None, prompt_version: str) -> dict[str, Any]:
        """Return the fields of a conversation.

        Args:
            pseudonym: of the user; None if it is unknown.
            prompt_version: tells apart the texts of the site that conversations begin with.
        """
        fields: dict[str, Any] = {}
        if self.identifies and pseudonym is not None:
            fields["safety_identifier"] = pseudonym.safety_identifier
            # The user's own, as every conversation has a user's text: from times and counts of cached tokens
            # another could find out whether it had been sent before.
            fields["prompt_cache_key"] = pseudonym.cache_key(prompt_version)
        if self.store is not None:
            fields["store"] = self.store
        return fields
