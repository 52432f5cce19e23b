"""Imitate an OpenAI model: refuse what it refuses, reason if it reasons, and report the usage of its prompt cache."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from app.models.families import Family, find_family, find_refusal
from app.offline_model import tokens
from app.offline_model.answer import PRIMING_TOKENS, Answer, make_answer
from app.offline_model.completion import Completion
from app.offline_model.prompt_cache import CacheUse, PromptCache, Segment
from app.offline_model.requests.chat_request import ChatRequest, parse_chat_request
from app.offline_model.requests.errors import InvalidRequestError
from app.offline_model.requests.fields import JsonObject
from app.offline_model.responses.request import ResponsesRequest, parse_responses_request
from app.offline_model.responses.response import Response

_THOUGHT = "The last message is to be answered."
_BREAKPOINT = "prompt_cache_breakpoint"


@dataclass(frozen=True)
class Player:
    """Imitates the model that a request names, or `plays` if that name is unknown."""

    plays: str = ""
    _cache: PromptCache = field(default_factory=PromptCache)

    def check(self, path: str, body: JsonObject) -> None:
        """Refuse a request that the imitated model refuses.

        Raises:
            InvalidRequestError: with OpenAI's status and error.
        """
        played = {**body, "model": self._name_played(body)} if "model" in body else body
        if (refusal := find_refusal(path, played)) is not None:
            raise InvalidRequestError(
                refusal.message, param=refusal.param, code=refusal.code, status=refusal.status
            )

    def complete(self, body: JsonObject) -> Completion:
        """Answer the body of `POST /chat/completions`.

        Raises:
            InvalidRequestError: it is refused.
        """
        request = parse_chat_request(body)
        self.check("/chat/completions", body)
        return Completion(self._answer(request, body))

    def respond(self, body: JsonObject) -> Response:
        """Answer the body of `POST /responses`.

        Raises:
            InvalidRequestError: it is refused.
        """
        self.check("/responses", body)
        request = parse_responses_request(body, self._name_played(body))
        return Response(request, self._answer(request.chat, request.chat_body, self._think(request)))

    def _name_played(self, body: JsonObject) -> Any:
        model = body.get("model")
        if isinstance(model, str) and self.plays and find_family(model) is None:
            return self.plays
        return model

    def _find_family(self, body: JsonObject) -> Family | None:
        return find_family(self._name_played(body))

    def _think(self, request: ResponsesRequest) -> str:
        family = find_family(request.model)
        if family is None or family.default_effort is None:
            return ""
        return "" if (request.effort or family.default_effort) == "none" else _THOUGHT

    def _answer(self, request: ChatRequest, body: JsonObject, thought: str = "") -> Answer:
        return make_answer(request, self._use_cache(request, body), thought)

    def _use_cache(self, request: ChatRequest, body: JsonObject) -> CacheUse:
        family = self._find_family(body)
        options = body.get("prompt_cache_options")
        return self._cache.use(
            str(body.get("prompt_cache_key") or ""),
            _cut_into_segments(request, body),
            has_breakpoints=family is not None and family.has_cache_breakpoints,
            is_explicit=isinstance(options, dict) and options.get("mode") == "explicit",
        )


def _cut_into_segments(request: ChatRequest, body: JsonObject) -> list[Segment]:
    names = ("model", "tools", "response_format", "reasoning_effort", "verbosity", "service_tier")
    head = tokens.encode_json([body.get(name) for name in names], "tools")
    segments = [Segment(head, PRIMING_TOKENS + request.tools.prompt_tokens, is_breakpoint=False)]
    for index, (given, message) in enumerate(zip(body["messages"], request.messages, strict=True)):
        parts = given.get("content")
        is_breakpoint = isinstance(parts, list) and any(_BREAKPOINT in part for part in parts)
        if is_breakpoint:  # a breakpoint moves from turn to turn, so it is excluded from the comparison
            parts = [{key: value for key, value in part.items() if key != _BREAKPOINT} for part in parts]
        content = tokens.encode_json({**given, "content": parts}, f"messages[{index}]")
        segments.append(Segment(content, message.prompt_tokens, is_breakpoint))
    return segments
