"""Which endpoint answers a conversation: /chat/completions or /responses.

Newer models call functions while they reason on /responses only, and keep their reasoning over a tool loop there. Which
ones do is known of families, and learnt from refusals of all others. Other servers often have no such route.
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

# "with_tools": for tools with reasoning; "with_any_tools": also for those without, as the model always reasons.
Need = Literal["always", "with_any_tools", "with_tools"]

_MAX_MODELS = 1_000
_NO_EFFORT = "none"

log = logging.getLogger(__name__)


class Endpoints:
    """Chooses the endpoint of each request, and remembers until the process ends what the upstream said of it."""

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
            HostedToolsUnavailable: it has tools that only /responses has, and the upstream has none.
        """
        if MAX_CALLS in body or TRUNCATION in body:
            if self._api == "chat" or not self._has_route:
                raise HostedToolsUnavailable
            return RESPONSES_PATH
        if self._api == "chat" or not self._has_route:
            return CHAT_PATH
        if self._api == "responses":
            return RESPONSES_PATH
        # What may have no such route is asked there only for what nothing else can serve.
        suits = self._suits(model, body) if self._has_responses else self._is_needed(model, body)
        return RESPONSES_PATH if suits else CHAT_PATH

    def asks_for_reasoning(self, model: str, body: Mapping[str, Any]) -> bool:
        """Return whether a response is asked for its reasoning, which models without any refuse."""
        if model in self._without_encrypted:
            return False
        family = self._find_family(model)
        if family is not None:
            return family.default_effort is not None
        return model in self._needs or "reasoning_effort" in body

    def min_output_tokens(self, model: str, body: Mapping[str, Any]) -> int:
        """Return how many tokens an answer may have although the request allows fewer."""
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
        """Remember what a refusal says of the endpoint that was asked.

        Args:
            model: that refused.
            path: of the endpoint.
            body: of the chat completion, as choose() gets it.
            sent: the same as it was sent, with what was known of the model's parameters.
            error: the refusal.

        Returns:
            True if the request goes to the other endpoint from now on.
        """
        if path == RESPONSES_PATH:
            return error.is_missing_route and self._note_missing_route(error)
        # Where the route is not sure to exist, tools without reasoning are the other way.
        if not error.requires_responses and not (error.needs_no_reasoning and self._has_responses):
            return False
        _remember(self._needs, model, self._find_need(model, (body, sent), error))
        # Another request may have learnt it while this one was on its way, so what counts is where this one would go now.
        return self.choose(model, body) != path

    def note_without_reasoning(self, model: str) -> None:
        """Remember that a model has no reasoning to ask for."""
        _remember(self._without_encrypted, model, True)

    def _find_need(self, model: str, bodies: Sequence[Mapping[str, Any]], error: UpstreamError) -> Need:
        """Return what a model needs /responses for, after what was known of it and its refusal of a body."""
        known = self._needs.get(model)
        if known == "always" or not error.needs_no_reasoning:
            return "always"
        # It refuses tools for its reasoning although it was asked not to reason, or would have been if it could be.
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
        """Return whether such a request is served on /responses only, by the table or by what the upstream said."""
        has_tools, need, family = bool(body.get("tools")), self._needs.get(model), self._find_family(model)
        if need == "always" or (family is not None and not family.chat):
            return True
        if not has_tools or (body.get("reasoning_effort") == _NO_EFFORT and need != "with_any_tools"):
            return False
        return need is not None or (family is not None and family.chat_tools == "never")

    def _suits(self, model: str, body: Mapping[str, Any]) -> bool:
        """Return whether a request is served on /responses only, or better there."""
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
        # A model that reasons keeps its thoughts over the rounds of a tool loop, at the price of what only chat has.
        return need is not None or family.chat_tools != "yes" or not find_chat_only(body)


def _get_effort(family: Family | None, body: Mapping[str, Any]) -> str | None:
    """Return the effort of a request: the one that it names, or else its model's."""
    named: str | None = body.get("reasoning_effort")
    return named or (None if family is None else family.default_effort)


def _remember(known: dict[str, T], model: str, value: T) -> None:
    if model not in known and len(known) >= _MAX_MODELS:
        known.clear()
    known[model] = value
