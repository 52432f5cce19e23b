"""ParameterSupport: changes parameters that a model does not accept, by the table of families and by earlier refusals.

The table avoids the first refusal. It becomes outdated, and lists only OpenAI's models, so each refusal is stored for its
model and endpoint until the process ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.models.families import find_family
from app.models.token_counts.estimates import UNREAD_FIELDS
from app.openai_service.errors import UpstreamRejected
from app.openai_service.transport.family_rules import (
    ORDERED,
    SAMPLING,
    Changes,
    find_family_changes,
    find_nearest,
    lower_details,
)
from app.openai_service.transport.parameter_names import to_api_name, to_chat_name

_REFUSALS = {"unsupported_parameter", "unsupported_value", "unknown_parameter"}
_RENAMED = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
# The parameters without which an answer is still useful. Without its tools or format it would not be.
_DROPPABLE = {
    *SAMPLING,
    "stream_options",
    "reasoning_effort",
    "verbosity",
    "service_tier",
    "stop",
    "seed",
    "parallel_tool_calls",
    *UNREAD_FIELDS,
    "prompt_cache_options",
}
_MAX_MODELS = 1_000
_MAX_RULES = 32
_MAX_TRIES = 8


@dataclass(frozen=True, slots=True)
class _Rule:
    """A parameter that a model refused.

    Attributes:
        supported: the values that the model accepts; empty if it accepts none.
        with_tools: whether the rule applies only with tools. The parameter must then be sent with a supported value.
        beside: the rule applies only if the body has this parameter; "" if it always applies.
        effort: the only reasoning effort for which the rule is known to apply; "" for any. Models accept a temperature only
            without reasoning, and a parameter refused at one caller's effort may be accepted at another's.
    """

    param: str
    supported: tuple[str, ...] = ()
    with_tools: bool = False
    beside: str = ""
    effort: str | None = ""

    def find_changes(self, body: dict[str, Any]) -> Changes:
        """Return the changes that the rule requires in a body."""
        if self.effort not in ("", body.get("reasoning_effort")):
            return {}
        if self.with_tools:
            needed = self.supported[0]
            return {self.param: needed} if body.get("tools") and body.get(self.param) != needed else {}
        if self.beside and self.beside not in body:
            return {}
        if self.param not in body or body[self.param] in self.supported:
            return {}
        if new_name := _RENAMED.get(self.param):
            return {self.param: None, new_name: body[self.param]}
        return {self.param: find_nearest(self.param, body[self.param], self.supported)}


class ParameterSupport:
    """Renames, changes or drops parameters, by endpoint and model."""

    def __init__(self, *, has_families: bool = True) -> None:
        """Create it without rules, except those of the table of families.

        Args:
            has_families: whether to use that table. It does not apply where names of models are those of deployments.
        """
        self._has_families = has_families
        self._learned: dict[tuple[str, str], tuple[_Rule, ...]] = {}

    def adapt(self, path: str, model: str, body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """Change the parameters of a body that its model does not accept.

        Args:
            path: the endpoint that is called.
            model: the model that is called.
            body: the body in the format of chat completions.

        Returns:
            the body to send, which is a new dict if it was changed, and the changes to report to the caller, such as
            {"temperature": "dropped", "max_tokens": "max_completion_tokens"}.
        """
        changes = find_family_changes(model, path, body) if self._has_families else {}
        rules = self._learned.get((path, model))
        if not changes and rules is None:
            return body, {}
        adapted, adjusted = _apply(body, changes), _describe(changes)
        for rule in rules or ():
            changes = rule.find_changes(adapted)
            adapted = _apply(adapted, changes)
            adjusted |= _describe(changes)
        return adapted, adjusted

    def lower_details(self, model: str, body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """Lower the detail of images if the model does not accept it. Returns what adapt() returns."""
        return lower_details(model, body) if self._has_families else (body, {})

    def learn(
        self, path: str, model: str, error: UpstreamRejected, body: dict[str, Any], tried: set[object]
    ) -> bool:
        """Store a rule for a parameter that a model refused.

        Args:
            path: the endpoint that was called.
            model: the model that refused it.
            error: the refusal.
            body: the refused body.
            tried: the parameters of rules learned earlier in this attempt; the new one is added.

        Returns:
            True if the request can be sent again with a changed body, False if there is no new rule.
        """
        rule = _read_rule(error, body)
        if rule is None or not rule.find_changes(body) or len(tried) >= _MAX_TRIES:
            return False
        family = find_family(model) if self._has_families else None
        if rule.with_tools and family is not None and family.chat_tools == "never":
            return False
        # A model that refuses both names of a parameter would otherwise be tried forever.
        marks = {(rule.param, rule.with_tools, rule.beside)}
        if new_name := _RENAMED.get(rule.param):
            marks.add((new_name, False, ""))
        if marks & tried:
            return False
        tried |= marks
        self._remember((path, model), rule)
        return True

    def _remember(self, key: tuple[str, str], rule: _Rule) -> None:
        # If a parameter has two names, drop the rule that would rename it back to the one that was just refused.
        replaced = {rule.param, _RENAMED.get(rule.param)}
        retained = [
            known
            for known in self._learned.get(key, ())
            if known.param not in replaced
            or (known.with_tools, known.beside, known.effort) != (rule.with_tools, rule.beside, rule.effort)
        ]
        if key not in self._learned and len(self._learned) >= _MAX_MODELS:
            self._learned.clear()
        # Rules for tools come last, as they override the others. Rules that depend on another parameter come after those
        # that may remove that parameter.
        rules = sorted([*retained[-_MAX_RULES:], rule], key=lambda each: (each.with_tools, each.beside))
        self._learned[key] = tuple(rules)


def _read_rule(error: UpstreamRejected, body: dict[str, Any]) -> _Rule | None:
    """Return the rule that follows from a refusal, if any."""
    if error.needs_no_reasoning:
        return _Rule("reasoning_effort", ("none",), with_tools=True)
    if error.exclusive_params:
        return _choose_one([to_chat_name(param) for param in error.exclusive_params], body)
    is_refusal = error.upstream_code in _REFUSALS or error.is_unknown_param
    if not is_refusal or error.param is None:
        return None
    param = to_chat_name(error.param)
    if param not in _DROPPABLE and param not in _RENAMED:
        return None
    effort = body.get("reasoning_effort") if param in SAMPLING else ""
    # The list of supported values is trusted only for these parameters: for others, the message may quote the caller.
    supported = error.supported_values if param in ORDERED else ()
    return _Rule(param, supported, effort=effort)


def _choose_one(pair: list[str], body: dict[str, Any]) -> _Rule | None:
    """Return a rule that drops one of two exclusive parameters: the second if possible, but rather any other than the temperature."""
    droppable = [param for param in sorted(pair, key=lambda param: param != "temperature") if param in _DROPPABLE]
    if not droppable or pair[0] == pair[1]:
        return None
    dropped = droppable[-1]
    [remaining] = [param for param in pair if param != dropped]
    return _Rule(dropped, beside=remaining, effort=body.get("reasoning_effort") if dropped in SAMPLING else "")


def _apply(body: dict[str, Any], changes: Changes) -> dict[str, Any]:
    if not changes:
        return body
    return {name: value for name, value in {**body, **changes}.items() if value is not None or name not in changes}


def _describe(changes: Changes) -> dict[str, str]:
    """Describe changes with the names of our API; a renamed limit with the upstream's old and new name."""
    renamed = {old: new for old, new in _RENAMED.items() if old in changes and changes[old] is None}
    described = {
        to_api_name(param): "dropped" if value is None else str(value)
        for param, value in changes.items()
        if param not in _RENAMED and param not in UNREAD_FIELDS
    }
    return renamed | described
