"""What comes before a conversation, and settles how it is answered: a kept prompt, the site's text, or a caller's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic.alias_generators import to_camel

from app.auth import Principal
from app.auth.errors import Forbidden
from app.prompts import Prompt, Value, VariableFault
from app.schemas.fields import Name
from app.schemas.named_schemas import NamedSchemas, json_schema_format
from app.schemas.parsing import InvalidRequest, RequestModel

NOT_WITH_PROMPT = "not accepted together with this prompt."

Messages = list[dict[str, Any]]

Setting = Literal["model", "temperature", "tools", "answer_schema"]

_ROLES = ("system", "developer")
# What is free to everyone beside the conversation: fewer tokens than the ceiling, and an answer that was given before.
_FREE = {"max_tokens", "may_be_cached"}
# Which setting of a prompt settles the rest. What is not listed is open only where no token is tied to the prompt.
_SETTING_OF: dict[str, Setting] = {
    "model": "model",
    "temperature": "temperature",
    "tools": "tools",
    "server_tools": "tools",
    "tool_choice": "tools",
    "response_format": "answer_schema",
}
_NOT_CHOSEN = (None, ())
_ALIASES = {"response_format": "schema"}


class PromptFields(RequestModel):
    """What names a kept prompt, in every body that holds a conversation."""

    prompt_name: Name | None = None
    variables: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a request asks to be answered.

    Attributes:
        client_prompt: the text that the caller wants before it.
    """

    messages: Messages
    request_id: str
    operation: str = "chat"
    client_prompt: str | None = None


@dataclass(frozen=True, slots=True)
class SystemPrompts:
    """The prompts that one caller's conversations may have.

    Args:
        own: SYSTEM_PROMPT.
        client_may_write: whether ALLOW_CLIENT_SYSTEM_PROMPT lets a caller's own stand in for it.
        kept: those of PROMPTS_DIR.
        schemas: those that kept prompts name.
        tied_to: the kept prompt that the caller's token is for; then every conversation has it.
        fixed: the variables that the token gives to it.
    """

    own: str
    client_may_write: bool
    kept: Mapping[str, Prompt] = field(default_factory=dict)
    schemas: NamedSchemas = field(default_factory=dict)
    tied_to: str | None = None
    fixed: Mapping[str, Value] = field(default_factory=dict)

    def of(self, principal: Principal) -> SystemPrompts:
        """The same, as far as this caller may use them."""
        return replace(self, tied_to=principal.prompt, fixed=principal.variables)

    def prompt_of(self, asked: PromptFields) -> Prompt | None:
        """The kept prompt that a conversation has.

        Raises:
            InvalidRequest: there is none of that name.
            Forbidden: the caller's token is for another one, or for one that is not kept any more.
        """
        name = asked.prompt_name
        if self.tied_to is not None:
            if name not in (None, self.tied_to):
                raise Forbidden("promptName: this token is for another prompt.")
            if self.tied_to not in self.kept:
                raise Forbidden("This token is for a prompt that is not kept here.")
            return self.kept[self.tied_to]
        if name is not None and name not in self.kept:
            raise InvalidRequest("promptName: there is no such prompt.")
        return self.kept[name] if name is not None else None

    def settles(self, setting: Setting | None, prompt: Prompt | None) -> bool:
        """Whether a setting is not for the caller to choose."""
        if prompt is None or self.tied_to is not None:
            return prompt is not None
        return setting is not None and getattr(prompt, setting) is not None

    def apply(
        self, prompt: Prompt | None, conversation: Conversation, settings: Mapping[str, Any], asked: PromptFields
    ) -> tuple[Messages, dict[str, Any]]:
        """Return the messages with their system text before them, and the settings with those of a kept prompt.

        Args:
            prompt: the kept prompt that the conversation has: see prompt_of().
            settings: what the caller has chosen of a ChatCall, by the names of its fields.
        Raises:
            InvalidRequest: the caller may not write such a text, or not choose what the prompt settles, or the
                variables are off.
            Forbidden: the caller's token does not fit the prompt any more.
        """
        messages, client_prompt = conversation.messages, conversation.client_prompt
        writes_own = any(message["role"] in _ROLES for message in messages)
        if prompt is not None or not self.client_may_write:
            refusal = "not accepted here." if prompt is None else NOT_WITH_PROMPT
            if client_prompt is not None:
                raise InvalidRequest(f"systemPrompt: {refusal}")
            if writes_own:
                raise InvalidRequest(f"messages: the role system is {refusal}")
        if prompt is None:
            if asked.variables is not None:
                raise InvalidRequest("variables: needs promptName.")
            return _beginning_with(client_prompt or ("" if writes_own else self.own), messages), {**settings}
        for name, value in settings.items():
            if name not in _FREE and value not in _NOT_CHOSEN and self.settles(_SETTING_OF.get(name), prompt):
                raise InvalidRequest(f"{_ALIASES.get(name) or to_camel(name)}: {NOT_WITH_PROMPT}")
        text = self._text(prompt, asked.variables or {})
        return _beginning_with(text, messages), {**settings, **self._settled(prompt)}

    def _settled(self, prompt: Prompt) -> dict[str, Any]:
        """Return what a prompt settles of a ChatCall."""
        settled: dict[str, Any] = {"ceiling": prompt.max_tokens}
        if prompt.model is not None:
            settled |= {"model": prompt.model, "is_model_settled": True}
        if prompt.temperature is not None:
            settled["temperature"] = prompt.temperature
        if prompt.answer_schema is not None:
            schema = self.schemas[prompt.answer_schema].schema
            settled["response_format"] = json_schema_format(prompt.answer_schema, schema, strict=True)
        return settled

    def _text(self, prompt: Prompt, variables: Mapping[str, Any]) -> str:
        try:
            prompt.check(self.fixed)
        except VariableFault:
            raise Forbidden("This token does not fit its prompt any more.") from None
        for name in variables:
            if name in self.fixed:
                raise InvalidRequest(f"variables.{name}: this token settles it.")
        try:
            return prompt.fill({**variables, **self.fixed})
        except VariableFault as fault:
            raise InvalidRequest(str(fault)) from None


def _beginning_with(text: str, messages: Messages) -> Messages:
    return [{"role": "system", "content": text}, *messages] if text else messages
