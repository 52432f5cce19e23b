"""Serve /embed/ask, which answers the form of a page without scripts with a page or a part of a page."""

from __future__ import annotations

from flask import Blueprint, Response

from app.services import services
from app.web.call_context import billed_context
from app.web.errors import error_format
from app.web.forms.ask_form import read_form
from app.web.guards import needs
from app.web.pages.conversation import show_answer, show_problem
from app.web.routes.chat import build_call

bp = Blueprint("chat", __name__)  # the name is the operation in the ledger


@bp.post("/ask")
@needs("chat")
@error_format(show_problem)
def ask() -> Response:
    """Answer the question in a form."""
    form = read_form()
    result = services().openai_service.chat(build_call(form.to_body()), caller=billed_context())
    return show_answer(form, result)
