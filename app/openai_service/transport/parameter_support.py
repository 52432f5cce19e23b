"""Parameters that a model does not accept, learnt from its refusals, and what is sent instead.

Newer models refuse `max_tokens`, some refuse any `temperature`; servers with an older version of the API refuse
`max_completion_tokens`. No list of models stays true for long, so each refusal of the upstream is remembered for its
model until the process ends.
"""

from __future__ import annotations

from typing import Any

from app.openai_service.errors import UpstreamRejected
from app.token_counts.estimates import UNREAD_FIELDS

_REFUSALS = {"unsupported_parameter", "unsupported_value"}
_RENAMED = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
# Only parameters without which the answer is still of use; without its tools or format a request is another one.
_DROPPABLE = {"temperature", "stream_options", *UNREAD_FIELDS}
_MAX_MODELS = 1_000


class ParameterSupport:
    """The parameters to rename or drop, by model."""

    def __init__(self) -> None:
        self._by_model: dict[str, dict[str, str]] = {}

    def adapt(self, model: str, body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """Rename or drop the parameters of a body that its model does not accept.

        Returns:
            the body to send, which is a new dict if it was changed; and the changes, such as
            {"temperature": "dropped", "max_tokens": "max_completion_tokens"}, of those that are the caller's.
        """
        known = self._by_model.get(model, {})
        adjusted = {name: change for name, change in known.items() if name in body}
        if not adjusted:
            return body, adjusted
        adapted = {name: value for name, value in body.items() if name not in adjusted}
        for name, change in adjusted.items():
            if change != "dropped":
                adapted[change] = body[name]
        return adapted, {name: change for name, change in adjusted.items() if name not in UNREAD_FIELDS}

    def learn(self, model: str, error: UpstreamRejected, body: dict[str, Any], tried: set[str]) -> bool:
        """Remember a parameter that a model refused.

        Args:
            model: that refused it.
            error: the refusal.
            body: that was refused.
            tried: the parameters that were refused in this attempt before; the new one is added.

        Returns:
            True if the request can be sent again with a changed body, False if the error says nothing new.
        """
        name = error.param
        is_refusal = error.upstream_code in _REFUSALS or error.is_unknown_param
        if not is_refusal or name is None or name not in body:
            return False
        change = _RENAMED.get(name) or ("dropped" if name in _DROPPABLE else None)
        # A model that refuses both names of a parameter would otherwise be tried forever.
        if change is None or name in tried or change in tried:
            return False
        tried.add(name)
        # Of the two names of a parameter, do not rename back to the one that was just refused.
        known = {old: new for old, new in self._by_model.get(model, {}).items() if old != change}
        if model not in self._by_model and len(self._by_model) >= _MAX_MODELS:
            self._by_model.clear()
        self._by_model[model] = {**known, name: change}
        return True
