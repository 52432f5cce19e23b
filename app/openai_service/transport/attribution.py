"""Adds `safety_identifier`, `prompt_cache_key` and `store` to conversations: who the user is, and whether OpenAI stores it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.config import AttributionSettings
from app.openai_service.context import Pseudonym
from app.openai_service.transport.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Attribution:
    """Builds the fields `safety_identifier`, `prompt_cache_key` and `store` for bodies of chat completions.

    Moderation and embeddings have no such fields, and servers other than OpenAI's may refuse them.
    """

    identifies: bool
    store: bool | None

    @classmethod
    def from_settings(cls, settings: AttributionSettings, upstream: Upstream) -> Attribution:
        """Return the attribution that the settings allow for an upstream."""
        knows_fields = upstream.has_openai_fields or settings.identifiers == "always"
        return cls(
            identifies=knows_fields and settings.identifiers != "never",
            store=settings.store if knows_fields else None,
        )

    def build_fields(self, pseudonym: Pseudonym | None, prompt_version: str) -> dict[str, Any]:
        """Return the fields of a conversation.

        Args:
            pseudonym: the pseudonym of the user; None if the user is unknown.
            prompt_version: identifies the site's own text at the beginning of the conversation.
        """
        fields: dict[str, Any] = {}
        if self.identifies and pseudonym is not None:
            fields["safety_identifier"] = pseudonym.safety_identifier
            # A separate key for each user, as every conversation contains a user's text: with a shared key, others could
            # learn from latencies and numbers of cached tokens whether a text had been sent before.
            fields["prompt_cache_key"] = pseudonym.cache_key(prompt_version)
        if self.store is not None:
            fields["store"] = self.store
        return fields
