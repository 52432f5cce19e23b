"""Read the form of a page without JavaScript: a question, the conversation before it, and the token of its sender."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson
from flask import Request

from app.auth import Principal
from app.auth.visitor_tokens import FormPass
from app.problems import InvalidRequest
from app.services import services
from app.web.forms.bodies import read_text_form
from app.web.forms.fields import read_fields
from app.web.request_id import current_request, current_state
from app.web.schemas.chat import ChatRequest
from app.web.schemas.validation import parse_object, prefix_errors, validate

# Fields of the form itself. All other fields are those of /api/chat.
_FORM_ONLY = ("formToken", "once", "fragment", "history")
_VARIABLE = "variables."
# The history is sent to the browser and back with each question.
_MAX_HISTORY_CHARS = 64_000


@dataclass(frozen=True, slots=True)
class AskForm:
    """A form as it was sent.

    Attributes:
        fields: the fields of /api/chat.
        history: the messages before the question.
        settings: all other fields as they were sent, which are repeated in the next form.
    """

    fields: dict[str, Any]
    history: list[dict[str, Any]]
    settings: list[tuple[str, str]]

    @property
    def question(self) -> str:
        """The visitor's question; empty if it is missing."""
        return str(self.fields.get("message", ""))

    def to_body(self) -> ChatRequest:
        """Return the equivalent body of /api/chat.

        Raises:
            InvalidRequest: the body is not valid.
        """
        if "message" not in self.fields:
            raise InvalidRequest.missing("message")
        if not self.history:
            return validate(self.fields, ChatRequest)
        others = {name: value for name, value in self.fields.items() if name != "message"}
        turns = [*self.history, {"role": "user", "content": self.question}]
        return validate({**others, "messages": turns}, ChatRequest)

    def continue_with(self, reply: str) -> str:
        """Return the history of the next form. If it is too long, its oldest messages are left out."""
        turns = [
            *self.history,
            {"role": "user", "content": self.question},
            {"role": "assistant", "content": reply},
        ]
        sizes = [len(dump_history([turn])) for turn in turns]
        first, size = 0, sum(sizes)
        while size > _MAX_HISTORY_CHARS:
            size -= sum(sizes[first : first + 2])
            first += 2
        return dump_history(turns[first:]) if turns[first:] else ""


def identify_sender(request: Request) -> Principal:
    """Return the principal of a form: of its form token or, without one, of the request's credential, as for the API.

    Raises:
        InvalidRequest: the form cannot be read.
        Unauthenticated, Forbidden, TooManyFailures, AuthUnavailable: raised by Authenticator.
    """
    state, authenticator = current_state(), services().authenticator
    state.form = read_fields(read_text_form())
    token = state.form.get("formToken")
    if not token:
        return authenticator.identify(request)
    state.form_pass = authenticator.identify_form(request, token)
    principal: Principal = state.form_pass.principal
    return principal


def read_once_key(request: Request) -> str | None:  # noqa: ARG001
    """Return the idempotency key of a form: the id of its token, else its field `once`."""
    state = current_state()
    granted: FormPass | None = state.form_pass
    return granted.id if granted is not None else (state.form or {}).get("once") or None


def make_once_key() -> str:
    """Return an idempotency key for the next form, if that has no token."""
    return secrets.token_urlsafe(16)


def read_form() -> AskForm:
    """Return the form of the current request, whose fields identify_sender() has read.

    Raises:
        InvalidRequest: the history is not valid.
    """
    # Browsers send all fields of a form, including those that the visitor leaves empty.
    sent = {name: value for name, value in current_state().form.items() if value != ""}
    fields = {
        name: value for name, value in sent.items() if name not in _FORM_ONLY and not name.startswith(_VARIABLE)
    }
    variables = {name.removeprefix(_VARIABLE): value for name, value in sent.items() if name.startswith(_VARIABLE)}
    if variables:
        fields["variables"] = variables
    texts = current_request().form.items(multi=True)
    settings = [(name, text) for name, text in texts if text and name not in (*_FORM_ONLY, "message")]
    return AskForm(fields, _parse_history(sent.get("history")), settings)


def find_form() -> AskForm | None:
    """Return the form of a refused request; None if it was not read or is invalid."""
    with suppress(InvalidRequest):
        return None if current_state().form is None else read_form()
    return None


def dump_history(turns: list[dict[str, Any]]) -> str:
    """Return messages in the format of the field `history`."""
    return orjson.dumps({"messages": turns}).decode()


def _parse_history(text: str | None) -> list[dict[str, Any]]:
    if text is None:
        return []
    with prefix_errors("history"):
        messages = parse_object(text.encode("utf-8", "replace")).get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise InvalidRequest("must have a list of messages.", field="history")
    return messages
