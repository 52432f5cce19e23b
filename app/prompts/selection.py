"""Select the system text and the settings of a conversation: from a stored prompt, the site, or the client."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any, Literal, Protocol

from pydantic.alias_generators import to_camel

from app.config.models import SERVICE_TIERS
from app.frozen import frozen
from app.json_schema.catalog import NamedSchemas, json_schema_format
from app.problems import Forbidden, InvalidRequest
from app.prompts import InvalidVariable, Prompt, Value
from app.prompts.prompt import hash_text

NOT_WITH_PROMPT = "not accepted together with this prompt."

Messages = list[dict[str, Any]]

Setting = Literal[
    "model",
    "temperature",
    "tools",
    "answer_schema",
    "reasoning_effort",
    "verbosity",
    "service_tier",
    "stop",
    "top_p",
    "seed",
    "parallel_tool_calls",
]

_SYSTEM_ROLES = frozenset({"system", "developer"})
_get_role = itemgetter("role")
# Fields that a client may set with any prompt: the maximum number of tokens, within that of the prompt, and
# caching.
_ALWAYS_ALLOWED = {"max_tokens", "may_be_cached"}
# Settings of a prompt that are fields of ChatCall with the same name.
_PARAMETERS: tuple[Setting, ...] = (
    "temperature",
    "reasoning_effort",
    "verbosity",
    "service_tier",
    "stop",
    "top_p",
    "seed",
    "parallel_tool_calls",
)
# The setting of a prompt that overrides a field. Clients may set other fields unless the token is tied to the
# prompt.
_SETTING_BY_FIELD: dict[str, Setting] = {
    "model": "model",
    "tools": "tools",
    "server_tools": "tools",
    "tool_choice": "tools",
    "hosted": "tools",
    "has_computer": "tools",
    "response_format": "answer_schema",
    **{name: name for name in _PARAMETERS},
}
_UNSET = (None, ())
_ALIASES = {"response_format": "schema", "hosted": "tools", "has_computer": "tools"}


class PromptChoice(Protocol):
    """The stored prompt that a request chooses."""

    @property
    def prompt_name(self) -> str | None:
        """The name of the prompt."""

    @property
    def variables(self) -> dict[str, Any] | None:
        """The values of the prompt's variables."""


class PromptUser(Protocol):
    """The user of a prompt: the Principal of app.auth."""

    @property
    def prompt(self) -> str | None:
        """The prompt that the token is tied to, if any."""

    @property
    def variables(self) -> Mapping[str, Value]:
        """The values of the prompt's variables that the token sets."""


@frozen()
class Conversation:
    """The conversation of a request.

    Attributes:
        messages: the messages in OpenAI's form.
        request_id: the id of the request.
        operation: the operation in the ledger.
        client_prompt: the system text that the client sends.
        adjusted: the changes to the client's parameters, by field name.
        is_single: whether the client sent a single text instead of a conversation.
    """

    messages: Messages
    request_id: str
    operation: str = "chat"
    client_prompt: str | None = None
    adjusted: Mapping[str, str] = field(default_factory=dict)
    is_single: bool = False

    @property
    def is_one_shot(self) -> bool:
        """Whether the client will probably not continue the conversation."""
        if self.is_single or self.operation == "chat":
            return self.is_single
        return not any(message["role"] == "assistant" for message in self.messages)


@dataclass(frozen=True, slots=True)
class PromptSelection:
    """The prompts that a principal's conversations may use.

    Attributes:
        default: the text of SYSTEM_PROMPT.
        allows_client_prompt: whether the client may send a system text (ALLOW_CLIENT_SYSTEM_PROMPT).
        service_tiers: the tiers that a client may choose (ALLOWED_SERVICE_TIERS).
        stored: the stored prompts of PROMPTS_DIR, by name.
        schemas: the schemas that stored prompts name.
        tied_to: the name of the stored prompt that the token is tied to. Every conversation then uses it.
        pinned_variables: the values of that prompt's variables that the token sets.
    """

    default: str
    allows_client_prompt: bool
    service_tiers: Collection[str] = SERVICE_TIERS
    stored: Mapping[str, Prompt] = field(default_factory=dict)
    schemas: NamedSchemas = field(default_factory=dict)
    tied_to: str | None = None
    pinned_variables: Mapping[str, Value] = field(default_factory=dict)

    def restrict_to(self, user: PromptUser) -> PromptSelection:
        """Return the selection that a user's token allows."""
        if user.prompt is None and not user.variables:
            return self
        return replace(self, tied_to=user.prompt, pinned_variables=user.variables)

    def select(self, choice: PromptChoice) -> Prompt | None:
        """Return the stored prompt of a conversation, if any.

        Raises:
            InvalidRequest: there is no prompt of that name.
            Forbidden: the token is tied to another prompt, or to one that no longer exists.
        """
        name = choice.prompt_name
        if self.tied_to is not None:
            if name not in (None, self.tied_to):
                raise Forbidden("this token is for another prompt.", field="promptName")
            if self.tied_to not in self.stored:
                raise Forbidden("This token is for a prompt that does not exist.")
            return self.stored[self.tied_to]
        if name is not None and name not in self.stored:
            raise InvalidRequest("there is no such prompt.", field="promptName")
        return self.stored[name] if name is not None else None

    def overrides(self, setting: Setting | None, prompt: Prompt | None) -> bool:
        """Return whether the prompt sets a setting, so that the client may not set it."""
        if prompt is None or self.tied_to is not None:
            return prompt is not None
        return setting is not None and getattr(prompt, setting) is not None

    def apply(
        self, prompt: Prompt | None, conversation: Conversation, settings: Mapping[str, Any], choice: PromptChoice
    ) -> tuple[Messages, dict[str, Any]]:
        """Return the messages after their system text, and the settings overridden by those of a stored prompt.

        Args:
            prompt: the stored prompt that select() returned.
            conversation: the messages, and the system text of the client.
            settings: the fields of ChatCall that the client set, by name.
            choice: the prompt and the variables of the request.

        Raises:
            InvalidRequest: the client may not send a system text or a setting, or a variable is invalid.
            Forbidden: the prompt no longer accepts the variables that the token sets, or the client may not choose
                the service tier.
        """
        messages, client_prompt = conversation.messages, conversation.client_prompt
        has_system_message = not _SYSTEM_ROLES.isdisjoint(map(_get_role, messages))
        if prompt is not None or not self.allows_client_prompt:
            refusal = "not accepted here." if prompt is None else NOT_WITH_PROMPT
            if client_prompt is not None:
                raise InvalidRequest(refusal, field="systemPrompt")
            if has_system_message:
                raise InvalidRequest(f"the role system is {refusal}", field="messages")
        tier = settings.get("service_tier")
        if tier is not None and tier not in self.service_tiers:
            raise Forbidden("this service tier is not offered here.", field="serviceTier")
        if prompt is None:
            if choice.variables is not None:
                raise InvalidRequest("needs promptName.", field="variables")
            if client_prompt or has_system_message or not self.default:
                return _prepend(client_prompt or "", messages), {**settings}
            return _prepend(self.default, messages), {**settings, "prompt_version": hash_text(self.default)}
        for name, value in settings.items():
            if (
                name not in _ALWAYS_ALLOWED
                and value not in _UNSET
                and self.overrides(_SETTING_BY_FIELD.get(name), prompt)
            ):
                raise InvalidRequest(NOT_WITH_PROMPT, field=_ALIASES.get(name) or to_camel(name))
        text = self._fill(prompt, choice.variables or {})
        version = f"{choice.prompt_name or self.tied_to}:{prompt.digest}"
        settings = {**settings, **self._apply_settings(prompt), "prompt_version": version}
        return _prepend(text, messages), settings

    def _apply_settings(self, prompt: Prompt) -> dict[str, Any]:
        """Return the fields of ChatCall that a prompt sets."""
        fields: dict[str, Any] = {"ceiling": prompt.max_tokens}
        if prompt.model is not None:
            fields |= {"model": prompt.model, "model_is_pinned": True}
        for name in _PARAMETERS:
            if (value := getattr(prompt, name)) is not None:
                fields[name] = value
        if prompt.answer_schema is not None:
            schema = self.schemas[prompt.answer_schema].schema
            fields["response_format"] = json_schema_format(prompt.answer_schema, schema, strict=True)
        return fields

    def _fill(self, prompt: Prompt, variables: Mapping[str, Any]) -> str:
        try:
            prompt.check(self.pinned_variables)
        except InvalidVariable:
            raise Forbidden("This token no longer matches its prompt.") from None
        for name in variables:
            if name in self.pinned_variables:
                raise InvalidRequest("set by this token.", field=f"variables.{name}")
        return prompt.fill({**variables, **self.pinned_variables})


def _prepend(text: str, messages: Messages) -> Messages:
    return [{"role": "system", "content": text}, *messages] if text else messages
