"""Show a conversation on a page without JavaScript, with the form for the next question."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response, g, request

from app.media.markdown import MarkdownRendering
from app.openai_service import ChatResult
from app.problems import Problem
from app.runtime.side_process import Claim
from app.services import services
from app.storage.shared_state.replays.errors import IdempotencyConflict
from app.web.call_context import name_current_user
from app.web.forms.ask_form import AskForm, find_form, make_once_key
from app.web.pages.answers import accepts_page, page_response

_RENDERING_S = 10.0
_NOTES = {
    "length": "The answer ends here because it reached its maximum length.",
    "content_filter": "A content filter withheld the answer.",
}


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn of the conversation. `html` is empty if `text` is shown as it is."""

    is_visitor: bool
    text: str
    html: str = ""


@dataclass(frozen=True, slots=True)
class NextForm:
    """The fields of the next form.

    Attributes:
        token: the form token, which identifies the visitor; empty if there is none.
        once: the idempotency key of a form without a token.
        history: the messages so far.
        message: the question, if it is to be sent again.
        settings: further fields, which are repeated unchanged.
    """

    token: str
    once: str
    history: str = ""
    message: str = ""
    settings: Sequence[tuple[str, str]] = ()


def show_answer(form: AskForm, result: ChatResult) -> Response:
    """Respond with the conversation and the form for the next question."""
    reply = result.text or result.refusal or ""
    turns = _render([*form.history, _make_message("user", form.question), _make_message("assistant", reply)])
    note = _NOTES.get(result.finish_reason or "", "" if reply else "The model returned an empty answer.")
    next_form = NextForm(_get_next_token(), make_once_key(), form.continue_with(reply), settings=form.settings)
    return _show(200, turns=turns, note=note, form=next_form)


def show_problem(problem: Problem, request_id: str) -> Response:
    """Respond with an error and, if repeating may help, with the same form to send again."""
    form, wait_s = find_form(), problem.retry_after_s
    may_repeat = problem.status not in (401, 403, 405, 421)
    return _show(
        problem.status,
        problem=_explain(problem),
        wait_s=None if wait_s is None else max(1, round(wait_s)),
        request_id=request_id,
        turns=[],
        form=_make_repeated_form(form, problem) if form is not None and may_repeat else None,
    )


def _make_repeated_form(form: AskForm, problem: Problem) -> NextForm:
    # The token of a form that has already been answered cannot be used again.
    token = _get_next_token() if isinstance(problem, IdempotencyConflict) else g.form.get("formToken", "")
    return NextForm(token, make_once_key(), g.form.get("history", ""), form.question, form.settings)


def _explain(problem: Problem) -> str:
    if isinstance(problem, IdempotencyConflict):
        return "This form was already sent with a different text."
    if problem.status == 401:
        return "This form is no longer valid. Go back to its page and reload it."
    return problem.message


def _show(status: int, **values: Any) -> Response:
    is_fragment = not accepts_page(request) or (g.form or {}).get("fragment") == "1"
    granted = g.form_pass
    return page_response(
        "ask_fragment.html" if is_fragment else "ask.html",
        status=status,
        frame_ancestors=services().config.origins.allowed,
        back=granted and granted.origin,
        links=(),
        **values,
    )


def _render(messages: list[dict[str, Any]]) -> list[Turn]:
    """Return the turns of the visitor and the model, with those of the model as HTML."""
    shown = [message for message in messages if message.get("role") in ("user", "assistant")]
    texts = [_read_text(message) for message in shown]
    claim = Claim(name_current_user(), time.monotonic() + _RENDERING_S, check=lambda: None)
    rendering = MarkdownRendering(services().markdown_processes, claim)
    replies = [text for text, message in zip(texts, shown, strict=True) if message["role"] == "assistant"]
    rendered = iter(rendering.render(replies))
    return [
        Turn(is_visitor=True, text=text)
        if message["role"] == "user"
        else Turn(is_visitor=False, text=text, html=next(rendered))
        for text, message in zip(texts, shown, strict=True)
    ]


def _read_text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if isinstance(part, dict) and "text" in part)
    return content or ""


def _make_message(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}


def _get_next_token() -> str:
    return g.form_pass.next if g.form_pass is not None else ""
