"""What a model turned out not to take, and what is sent instead.

Newer models refuse `max_tokens`, some refuse any `temperature`; servers that speak an older form of the API
refuse `max_completion_tokens`. No list of models stays true for long, so the upstream's own refusal is believed,
once, and remembered for that model as long as the process lives.
"""

from __future__ import annotations

from typing import Any

from app.openai_service.errors import UpstreamRejected

_REFUSALS = {"unsupported_parameter", "unsupported_value"}
_RENAMED = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
# Only what changes how an answer is made; without its tools or its format it would be another request.
_DROPPABLE = {"temperature", "stream_options"}
_MAX_MODELS = 1_000


class ParameterSupport:
    """Remembers, per model, which parameters to rename or leave out."""

    def __init__(self) -> None:
        self._by_model: dict[str, dict[str, str]] = {}

    def adapt(self, model: str, body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """Change a request's body to what its model takes.

        Returns:
            the body to send, which is a new one where it was changed; and what was changed, and how:
            {"temperature": "dropped", "max_tokens": "max_completion_tokens"}.
        """
        known = self._by_model.get(model, {})
        adjusted = {name: change for name, change in known.items() if name in body}
        if not adjusted:
            return body, adjusted
        adapted = {name: value for name, value in body.items() if name not in adjusted}
        for name, change in adjusted.items():
            if change != "dropped":
                adapted[change] = body[name]
        return adapted, adjusted

    def learn(self, model: str, error: UpstreamRejected, body: dict[str, Any], tried: set[str]) -> bool:
        """Take note of a refusal.

        Args:
            tried: the names that this one call has already sent in vain; what is learnt is added.
        Returns:
            True if the request may now be sent again, changed; False if this teaches nothing new.
        """
        name = error.param
        if error.upstream_code not in _REFUSALS or name is None or name not in body:
            return False
        change = _RENAMED.get(name) or ("dropped" if name in _DROPPABLE else None)
        # Refusing both names of one parameter would otherwise go round in circles.
        if change is None or name in tried or change in tried:
            return False
        tried.add(name)
        # Of the two names of one parameter, the one that is refused last is not the one to send.
        known = {old: new for old, new in self._by_model.get(model, {}).items() if old != change}
        if model not in self._by_model and len(self._by_model) >= _MAX_MODELS:
            self._by_model.clear()
        self._by_model[model] = {**known, name: change}
        return True
