"""Define the request and response bodies of POST /api/tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from app.auth.principal import CONVERSATION_SCOPES, VisitorScope, parse_user_id
from app.auth.visitor_tokens import Grant, VisitorToken
from app.config import TokenSettings
from app.models.pricing.money import to_micro_usd
from app.problems import InvalidRequest
from app.prompts import Prompt
from app.runtime.times import format_iso
from app.web.schemas.fields import MaxTokens, Name
from app.web.schemas.validation import RequestModel

# A token is sent in one header, of which servers and proxies accept about 8,000 bytes.
_MAX_VARIABLES_CHARS = 3_000


class TokenRequest(RequestModel):
    """The body of POST /api/tokens."""

    user_id: Annotated[str, AfterValidator(parse_user_id)]
    ttl_s: Annotated[int, Field(ge=1)]
    scopes: Annotated[list[VisitorScope], Field(min_length=1, max_length=5)]
    origin: str | None = None
    prompt: Name | None = None
    variables: dict[str, Any] | None = None
    max_tokens: MaxTokens | None = None
    budget_usd: Annotated[float, Field(ge=0.000001, le=1_000_000, allow_inf_nan=False)] | None = None

    def to_grant(self, settings: TokenSettings, prompts: Mapping[str, Prompt]) -> Grant:
        """Return what the token grants.

        Args:
            settings: the limits of tokens.
            prompts: the prompts that the token can be tied to.

        Raises:
            InvalidRequest: the settings or the prompt do not allow it.
        """
        if self.ttl_s > settings.max_ttl_s:
            raise InvalidRequest(f"must be at most {settings.max_ttl_s}.", field="ttlS")
        if self.origin is not None and self.origin not in settings.origins:
            raise InvalidRequest("must be one of ALLOWED_ORIGINS, written as there.", field="origin")
        self._check_prompt(prompts)
        return Grant(
            user=self.user_id,
            ttl_s=self.ttl_s,
            scopes=frozenset(self.scopes),
            origin=self.origin,
            prompt=self.prompt,
            variables=self.variables,
            max_tokens=self.max_tokens,
            budget_micro_usd=None if self.budget_usd is None else to_micro_usd(self.budget_usd),
        )

    def _check_prompt(self, prompts: Mapping[str, Prompt]) -> None:
        if self.prompt is None:
            if self.variables is not None:
                raise InvalidRequest("needs prompt.", field="variables")
            return
        if self.prompt not in prompts:
            raise InvalidRequest("there is no such prompt.", field="prompt")
        if others := sorted(set(self.scopes) - CONVERSATION_SCOPES):
            raise InvalidRequest(f"{others[0]} cannot be combined with prompt.", field="scopes")
        if self.variables is None:
            return
        prompts[self.prompt].check(self.variables)
        if len(json.dumps(self.variables)) > _MAX_VARIABLES_CHARS:
            raise InvalidRequest(
                f"must have at most {_MAX_VARIABLES_CHARS:,} characters as ASCII JSON.", field="variables"
            )


def build_token_response(token: VisitorToken) -> dict[str, Any]:
    """Return {"token", "tokenId", "formToken", "expiresAt"}."""
    expires_at = format_iso(token.expires_at)
    return {"token": token.text, "tokenId": token.id, "formToken": token.form, "expiresAt": expires_at}
