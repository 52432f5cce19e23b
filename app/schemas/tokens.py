"""POST /api/tokens: what a visitor's token shall allow, and the token."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from app.auth.principal import CONVERSATION_SCOPES, VisitorScope, user_id
from app.auth.visitor_tokens import Grant, VisitorToken
from app.config import TokenSettings
from app.pricing.money import to_micro_usd
from app.prompts import Prompt, VariableFault
from app.runtime.times import format_iso
from app.schemas.fields import MaxTokens, Name
from app.schemas.parsing import InvalidRequest, RequestModel

# A token is sent in one header, of which servers and proxies take some 8,000 bytes.
_MAX_VARIABLES_CHARS = 3_000


class TokenRequest(RequestModel):
    user_id: Annotated[str, AfterValidator(user_id)]
    ttl_s: Annotated[int, Field(ge=1)]
    scopes: Annotated[list[VisitorScope], Field(min_length=1, max_length=5)]
    origin: str | None = None
    prompt: Name | None = None
    variables: dict[str, Any] | None = None
    max_tokens: MaxTokens | None = None
    budget_usd: Annotated[float, Field(ge=0.000001, le=1_000_000, allow_inf_nan=False)] | None = None

    def to_grant(self, settings: TokenSettings, kept: Mapping[str, Prompt]) -> Grant:
        """
        Args:
            kept: the prompts that the token can be tied to.
        Raises:
            InvalidRequest: the settings do not allow it, or the prompt does not.
        """
        if self.ttl_s > settings.max_ttl_s:
            raise InvalidRequest(f"ttlS: must be at most {settings.max_ttl_s}.")
        if self.origin is not None and self.origin not in settings.origins:
            raise InvalidRequest("origin: must be one of ALLOWED_ORIGINS, written as there.")
        self._check_prompt(kept)
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

    def _check_prompt(self, kept: Mapping[str, Prompt]) -> None:
        if self.prompt is None:
            if self.variables is not None:
                raise InvalidRequest("variables: needs prompt.")
            return
        if self.prompt not in kept:
            raise InvalidRequest("prompt: there is no such prompt.")
        if beside := sorted(set(self.scopes) - CONVERSATION_SCOPES):
            raise InvalidRequest(f"scopes: {beside[0]} does not go together with prompt.")
        if self.variables is None:
            return
        try:
            kept[self.prompt].check(self.variables)
        except VariableFault as fault:
            raise InvalidRequest(str(fault)) from None
        if len(json.dumps(self.variables)) > _MAX_VARIABLES_CHARS:
            raise InvalidRequest(
                f"variables: must have at most {_MAX_VARIABLES_CHARS:,} characters as ASCII JSON."
            )


def token_response(token: VisitorToken) -> dict[str, Any]:
    return {"token": token.text, "tokenId": token.id, "expiresAt": format_iso(token.expires_at)}
