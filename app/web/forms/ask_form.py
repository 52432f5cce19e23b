"""Read the form of a page without scripts: a question, what was said before it, and the token that says whose form it is."""

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

# Fields that are of the form itself. All others are those of /api/chat.
_OWN = ("formToken", "once", "fragment", "history")
_VARIABLE = "variables."
# What was said before goes to the browser and back with each question.
_MAX_HISTORY_CHARS = 64_000


@dataclass(frozen=True, slots=True)
class AskForm:
    """A form as it was sent.

    Attributes:
        fields: what /api/chat calls them.
        history: the messages before the question.
        settings: the other fields as they were sent, which the next form has as well.
    """

    fields: dict[str, Any]
    history: list[dict[str, Any]]
    settings: list[tuple[str, str]]

    @property
    def question(self) -> str:
        """The visitor's question, which may be missing."""
        return str(self.fields.get("message", ""))

    def to_body(self) -> ChatRequest:
        """Return the body that /api/chat would have been sent.

        Raises:
            InvalidRequest: it is not valid.
        """
        if "message" not in self.fields:
            raise InvalidRequest.missing("message")
        if not self.history:
            return validate(self.fields, ChatRequest)
        others = {name: value for name, value in self.fields.items() if name != "message"}
        turns = [*self.history, {"role": "user", "content": self.question}]
        return validate({**others, "messages": turns}, ChatRequest)

    def continue_with(self, reply: str) -> str:
        """Return the history of the next form, without its beginning if it is too long."""
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
    """Return who sent a form: whose token is in it, or if it has none, as the API does.

    Raises:
        InvalidRequest: the form cannot be read.
        Unauthenticated, Forbidden, TooManyFailures, AuthUnavailable: as Authenticator does.
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
    """Return what a form that is sent twice is known by: the id of its token, else a field of its own."""
    state = current_state()
    granted: FormPass | None = state.form_pass
    return granted.id if granted is not None else (state.form or {}).get("once") or None


def make_once_key() -> str:
    """Return what the next form without a token is known by."""
    return secrets.token_urlsafe(16)


def read_form() -> AskForm:
    """Return the form of the current request, which identify_sender() has read.

    Raises:
        InvalidRequest: the history is not valid.
    """
    # Browsers send each field of a form, also what the visitor leaves empty.
    sent = {name: value for name, value in current_state().form.items() if value != ""}
    fields = {name: value for name, value in sent.items() if name not in _OWN and not name.startswith(_VARIABLE)}
    variables = {name.removeprefix(_VARIABLE): value for name, value in sent.items() if name.startswith(_VARIABLE)}
    if variables:
        fields["variables"] = variables
    texts = current_request().form.items(multi=True)
    settings = [(name, text) for name, text in texts if text and name not in (*_OWN, "message")]
    return AskForm(fields, _parse_history(sent.get("history")), settings)


def find_form() -> AskForm | None:
    """Return the form of a request that was refused; None if it was not read, or cannot be."""
    with suppress(InvalidRequest):
        return None if current_state().form is None else read_form()
    return None


def dump_history(turns: list[dict[str, Any]]) -> str:
    """Return messages as the field `history` has them."""
    return orjson.dumps({"messages": turns}).decode()


def _parse_history(text: str | None) -> list[dict[str, Any]]:
    if text is None:
        return []
    with prefix_errors("history"):
        messages = parse_object(text.encode("utf-8", "replace")).get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise InvalidRequest("must have a list of messages.", field="history")
    return messages
