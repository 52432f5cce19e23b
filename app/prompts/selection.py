"""Select the system text and settings of a conversation: a stored prompt's, the site's, or the client's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from pydantic.alias_generators import to_camel

from app.json_schema.catalog import NamedSchemas, json_schema_format
from app.problems import Forbidden, InvalidRequest
from app.prompts import InvalidVariable, Prompt, Value

NOT_WITH_PROMPT = "not accepted together with this prompt."

Messages = list[dict[str, Any]]

Setting = Literal["model", "temperature", "tools", "answer_schema"]

_ROLES = ("system", "developer")
# Fields that every client may set besides the conversation: fewer tokens than the ceiling, and a cached answer.
_FREE = {"max_tokens", "may_be_cached"}
# Which setting of a prompt fixes which field. Fields that are not listed are free unless a token is tied to the prompt.
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


class PromptChoice(Protocol):
    """What a request says of the stored prompt that it wants."""

    @property
    def prompt_name(self) -> str | None:
        """The prompt's name."""

    @property
    def variables(self) -> dict[str, Any] | None:
        """The values of its variables."""


class PromptUser(Protocol):
    """Who wants a prompt; app.auth has it as Principal."""

    @property
    def prompt(self) -> str | None:
        """The one prompt that their token is tied to."""

    @property
    def variables(self) -> Mapping[str, Value]:
        """The values of its variables that the token sets."""


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
class PromptSelection:
    """The prompts that a principal's conversations may use.

    Args:
        own: the text of SYSTEM_PROMPT.
        allows_client_prompt: whether the client may send its own system text (ALLOW_CLIENT_SYSTEM_PROMPT).
        kept: the stored prompts of PROMPTS_DIR, by name.
        schemas: the schemas that stored prompts name.
        tied_to: the stored prompt that the token is tied to; then every conversation uses it.
        fixed: the values of that prompt's variables that the token sets.
    """

    default: str
    allows_client_prompt: bool
    stored: Mapping[str, Prompt] = field(default_factory=dict)
    schemas: NamedSchemas = field(default_factory=dict)
    tied_to: str | None = None
    pinned_variables: Mapping[str, Value] = field(default_factory=dict)

    def restrict_to(self, user: PromptUser) -> PromptSelection:
        """Return the prompts that a user may use."""
        if user.prompt is None and not user.variables:
            return self
        return replace(self, tied_to=user.prompt, pinned_variables=user.variables)

    def select(self, asked: PromptChoice) -> Prompt | None:
        """Return the stored prompt of a conversation, if any.

        Raises:
            InvalidRequest: there is no prompt of that name.
            Forbidden: the token is tied to another prompt, or to one that no longer exists.
        """
        name = asked.prompt_name
        if self.tied_to is not None:
            if name not in (None, self.tied_to):
                raise Forbidden("this token is for another prompt.", field="promptName")
            if self.tied_to not in self.stored:
                raise Forbidden("This token is for a prompt that is not kept here.")
            return self.stored[self.tied_to]
        if name is not None and name not in self.stored:
            raise InvalidRequest("there is no such prompt.", field="promptName")
        return self.stored[name] if name is not None else None

    def overrides(self, setting: Setting | None, prompt: Prompt | None) -> bool:
        """Return whether the prompt sets a setting, so that the client may not."""
        if prompt is None or self.tied_to is not None:
            return prompt is not None
        return setting is not None and getattr(prompt, setting) is not None

    def apply(
        self, prompt: Prompt | None, conversation: Conversation, settings: Mapping[str, Any], asked: PromptChoice
    ) -> tuple[Messages, dict[str, Any]]:
        """Return the messages with their system text before them, and the settings with those of a stored prompt.

        Args:
            prompt: the stored prompt of the conversation: see select().
            settings: the fields of ChatCall that the client set, by name.

        Raises:
            InvalidRequest: the client may not send a system text, or may not set what the prompt sets, or a
                variable is not valid.
            Forbidden: the client's token does not match the prompt any more.
        """
        messages, client_prompt = conversation.messages, conversation.client_prompt
        writes_own = any(message["role"] in _ROLES for message in messages)
        if prompt is not None or not self.allows_client_prompt:
            refusal = "not accepted here." if prompt is None else NOT_WITH_PROMPT
            if client_prompt is not None:
                raise InvalidRequest(refusal, field="systemPrompt")
            if writes_own:
                raise InvalidRequest(f"the role system is {refusal}", field="messages")
        if prompt is None:
            if asked.variables is not None:
                raise InvalidRequest("needs promptName.", field="variables")
            return _prepend(client_prompt or ("" if writes_own else self.default), messages), {**settings}
        for name, value in settings.items():
            if name not in _FREE and value not in _NOT_CHOSEN and self.overrides(_SETTING_OF.get(name), prompt):
                raise InvalidRequest(NOT_WITH_PROMPT, field=_ALIASES.get(name) or to_camel(name))
        text = self._fill(prompt, asked.variables or {})
        return _prepend(text, messages), {**settings, **self._apply_settings(prompt)}

    def _apply_settings(self, prompt: Prompt) -> dict[str, Any]:
        """Return what a prompt settles of a ChatCall."""
        settled: dict[str, Any] = {"ceiling": prompt.max_tokens}
        if prompt.model is not None:
            settled |= {"model": prompt.model, "model_is_pinned": True}
        if prompt.temperature is not None:
            settled["temperature"] = prompt.temperature
        if prompt.answer_schema is not None:
            schema = self.schemas[prompt.answer_schema].schema
            settled["response_format"] = json_schema_format(prompt.answer_schema, schema, strict=True)
        return settled

    def _fill(self, prompt: Prompt, variables: Mapping[str, Any]) -> str:
        try:
            prompt.check(self.pinned_variables)
        except InvalidVariable:
            raise Forbidden("This token does not fit its prompt any more.") from None
        for name in variables:
            if name in self.pinned_variables:
                raise InvalidRequest("this token settles it.", field=f"variables.{name}")
        return prompt.fill({**variables, **self.pinned_variables})


def _prepend(text: str, messages: Messages) -> Messages:
    return [{"role": "system", "content": text}, *messages] if text else messages
