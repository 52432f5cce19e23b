"""Define Family: the rules of a family of models."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

When = Literal["yes", "without_reasoning", "never"]
"""Whether something is accepted; "without_reasoning" means only if the effort, sent or default, is "none"."""


@dataclass(frozen=True)
class Family:
    """A model with its dated snapshots and fine-tunes, and what they accept.

    Attributes:
        name: the model's name without a date.
        chat: whether it is served on /v1/chat/completions.
        responses: whether it is served on /v1/responses.
        efforts: the values of `reasoning_effort` on /v1/chat/completions; empty: the parameter is refused.
        responses_efforts: the values of `reasoning.effort` on /v1/responses.
        default_effort: the effort of a request without one; None: the model does not reason.
        chat_tools: whether /v1/chat/completions accepts function tools; /v1/responses always does.
        sampling: whether temperature, top_p, logprobs, penalties and logit_bias are accepted.
        takes_stop: whether `stop` is accepted.
        takes_max_tokens: whether `max_tokens` is accepted beside `max_completion_tokens`.
        takes_parallel_tool_calls: whether `parallel_tool_calls` is accepted on /v1/chat/completions.
        verbosities: the values of `verbosity`.
        has_cache_breakpoints: whether prompt-cache breakpoints are accepted, and cache writes are charged.
        takes_original_detail: whether images may have the detail "original".
        shutdown: the announced last day; None: no shutdown is announced.
    """

    name: str
    chat: bool
    responses: bool
    efforts: tuple[str, ...]
    responses_efforts: tuple[str, ...]
    default_effort: str | None
    chat_tools: When
    sampling: When
    takes_stop: bool
    takes_max_tokens: bool
    takes_parallel_tool_calls: bool
    verbosities: tuple[str, ...]
    has_cache_breakpoints: bool
    takes_original_detail: bool
    shutdown: date | None
