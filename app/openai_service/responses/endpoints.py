"""Endpoints: chooses the endpoint for a conversation, /chat/completions or /responses.

Newer models can combine function calls with reasoning only on /responses, where they also retain their reasoning during
a tool loop. The table of families lists such models; for all others it is learnt from the upstream's errors. Many
compatible servers have no /responses.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from app.models.families import Family, find_family
from app.openai_service.errors import UpstreamError
from app.openai_service.responses.client_tools import TRUNCATION
from app.openai_service.responses.hosted_tools import MAX_CALLS, HostedToolsUnavailable
from app.openai_service.responses.request_body import MIN_OUTPUT_TOKENS, find_chat_only, get_limit
from app.openai_service.transport.request_bodies import CHAT_PATH, RESPONSES_PATH
from app.openai_service.transport.upstream import Upstream

T = TypeVar("T")

# "with_tools": for requests with tools and reasoning. "with_any_tools": also without, as the model always reasons.
Need = Literal["always", "with_any_tools", "with_tools"]

_MAX_MODELS = 1_000
_NO_EFFORT = "none"

log = logging.getLogger(__name__)


class Endpoints:
    """Chooses the endpoint of each request. What it learns from the upstream's errors lasts until the process ends."""

    def __init__(self, upstream: Upstream) -> None:
        self._api = upstream.api
        self._has_responses = upstream.has_responses
        self._has_families = upstream.has_families
        self._needs: dict[str, Need] = {}
        self._without_encrypted: dict[str, bool] = {}
        self._has_route = True

    def choose(self, model: str, body: Mapping[str, Any]) -> str:
        """Return CHAT_PATH or RESPONSES_PATH for a chat completion's body.

        Raises:
            HostedToolsUnavailable: the body has tools that need /responses, which the upstream does not have.
        """
        if MAX_CALLS in body or TRUNCATION in body:
            if self._api == "chat" or not self._has_route:
                raise HostedToolsUnavailable
            return RESPONSES_PATH
        if self._api == "chat" or not self._has_route:
            return CHAT_PATH
        if self._api == "responses":
            return RESPONSES_PATH
        # An upstream that may lack /responses gets only those requests there that need it.
        suits = self._suits(model, body) if self._has_responses else self._is_needed(model, body)
        return RESPONSES_PATH if suits else CHAT_PATH

    def requests_reasoning(self, model: str, body: Mapping[str, Any]) -> bool:
        """Return whether to request encrypted reasoning. Models that do not reason reject such a request."""
        if model in self._without_encrypted:
            return False
        family = self._find_family(model)
        if family is not None:
            return family.default_effort is not None
        return model in self._needs or "reasoning_effort" in body

    def get_min_output_tokens(self, model: str, body: Mapping[str, Any]) -> int:
        """Return the number of tokens that the answer may have even if the request allows fewer."""
        if self._api == "chat":
            return 0
        limit = get_limit(body)
        if limit is None or limit >= MIN_OUTPUT_TOKENS:
            return 0
        if MAX_CALLS in body or TRUNCATION in body:
            return MIN_OUTPUT_TOKENS
        family = self._find_family(model)
        is_certain = family is not None and self.choose(model, body) == CHAT_PATH
        return 0 if is_certain else MIN_OUTPUT_TOKENS

    def learn(
        self, model: str, path: str, body: Mapping[str, Any], sent: Mapping[str, Any], error: UpstreamError
    ) -> bool:
        """Learn from an error which endpoint a model needs.

        Args:
            model: the model that rejected the request.
            path: the endpoint's path.
            body: of the chat completion, as passed to choose().
            sent: the same body after it was adapted to the model's parameters.
            error: the upstream's error.

        Returns:
            True if such requests go to the other endpoint from now on.
        """
        if path == RESPONSES_PATH:
            return error.is_missing_route and self._note_missing_route(error)
        # If /responses may not exist, the request is sent again to /chat/completions without reasoning.
        if not error.requires_responses and not (error.needs_no_reasoning and self._has_responses):
            return False
        _remember(self._needs, model, self._find_need(model, (body, sent), error))
        # Another request may have learnt the same meanwhile, so the result is compared with the current choice.
        return self.choose(model, body) != path

    def note_without_reasoning(self, model: str) -> None:
        """Remember that a model rejects requests for encrypted reasoning."""
        _remember(self._without_encrypted, model, True)

    def _find_need(self, model: str, bodies: Sequence[Mapping[str, Any]], error: UpstreamError) -> Need:
        """Return what a model needs /responses for, by what is known of it and its error for a body."""
        known = self._needs.get(model)
        if known == "always" or not error.needs_no_reasoning:
            return "always"
        # It rejects tools because of its reasoning, although the request turned reasoning off, or tried to.
        reasons_anyway = any(body.get("reasoning_effort") == _NO_EFFORT for body in bodies)
        return "with_any_tools" if reasons_anyway or known == "with_any_tools" else "with_tools"

    def _find_family(self, model: str) -> Family | None:
        return find_family(model) if self._has_families else None

    def _note_missing_route(self, error: UpstreamError) -> bool:
        if self._has_route:
            self._has_route = False
            log.warning("upstream.no_responses", extra={"status": error.upstream_status})
        return True

    def _is_needed(self, model: str, body: Mapping[str, Any]) -> bool:
        """Return whether only /responses can serve the request, by the table of families or by learnt errors."""
        has_tools, need, family = bool(body.get("tools")), self._needs.get(model), self._find_family(model)
        if need == "always" or (family is not None and not family.chat):
            return True
        if not has_tools or (body.get("reasoning_effort") == _NO_EFFORT and need != "with_any_tools"):
            return False
        return need is not None or (family is not None and family.chat_tools == "never")

    def _suits(self, model: str, body: Mapping[str, Any]) -> bool:
        """Return whether only /responses can serve the request, or whether it serves it better."""
        has_tools = bool(body.get("tools"))
        need = self._needs.get(model)
        if need == "always":
            return True
        family = self._find_family(model)
        effort = _get_effort(family, body)
        if family is None:
            return need is not None and has_tools and (effort != _NO_EFFORT or need == "with_any_tools")
        if not family.responses:
            return False
        if not family.chat or (effort in family.responses_efforts and effort not in family.efforts):
            return True
        if not has_tools or effort in (None, _NO_EFFORT):
            return has_tools and (family.chat_tools == "never" or need == "with_any_tools")
        # /responses retains the model's reasoning during a tool loop, but lacks the parameters that only chat has.
        return need is not None or family.chat_tools != "yes" or not find_chat_only(body)


def _get_effort(family: Family | None, body: Mapping[str, Any]) -> str | None:
    """Return the reasoning effort of a request, or else the model's default."""
    named: str | None = body.get("reasoning_effort")
    return named or (None if family is None else family.default_effort)


def _remember(known: dict[str, T], model: str, value: T) -> None:
    if model not in known and len(known) >= _MAX_MODELS:
        known.clear()
    known[model] = value
