"""What a batch is, before and after it was sent, and what can be wrong with asking for its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from app.openai_service import CHAT_PATH, EMBEDDINGS_PATH, UpstreamBatch
from app.problems import Problem

Kind = Literal["chat", "embeddings"]

KINDS: tuple[Kind, ...] = ("chat", "embeddings")

PATHS: dict[Kind, str] = {"chat": CHAT_PATH, "embeddings": EMBEDDINGS_PATH}

_RUNNING = frozenset({"validating", "in_progress", "finalizing", "cancelling"})


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """One request: what its sender calls it, and its body in OpenAI's own form, but for the model."""

    id: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NewBatch:
    kind: Kind
    model: str
    requests: Sequence[BatchRequest]


@dataclass(frozen=True, slots=True)
class BatchOwner:
    """Whose batches may be seen: those of a user, or of a whole tenant where the user is None."""

    tenant: str
    user: str | None


@dataclass(frozen=True, slots=True)
class Sent:
    """What is kept of a request: what its sender calls it, and the most tokens that it can have."""

    id: str
    most_input: int
    most_output: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch as it is written down. Times are UTC milliseconds.

    Attributes:
        status: submitting, validating, in_progress, finalizing, cancelling, and at last completed, failed, expired or
            cancelled.
        completed, failed: requests; together they are `total` only once it has ended.
        cost_micro_usd: None before the end, and where no price is known.
    """

    id: str
    entry_id: str
    tenant: str
    user: str
    kind: Kind
    model: str
    status: str
    total: int
    created_at: int
    checked_at: int
    completed: int = 0
    failed: int = 0
    upstream_id: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    cost_micro_usd: int | None = None
    cancel_requested_at: int | None = None
    ended_at: int | None = None

    @property
    def has_ended(self) -> bool:
        return self.ended_at is not None


def running_status(upstream: UpstreamBatch) -> str:
    """What is said of a batch until it is settled, which is a moment later than its end at the upstream."""
    return upstream.status if upstream.status in _RUNNING else "in_progress"


class BatchNotEnded(Problem):
    """The batch has no results yet."""

    status = 409
    code = "batch_not_ended"
    sentence = "The batch has not ended yet."
    retry_after_s = 5.0


class ResultsGone(Problem):
    """The upstream has deleted the results of the batch, as it does after 30 days."""

    status = 410
    code = "results_gone"
    sentence = "The results of this batch have been deleted."


class RequestCancelled(Problem):
    """Only among the results of a batch: it was cancelled before the upstream came to this request."""

    status = 499
    code = "cancelled"
    sentence = "The batch was cancelled before this request was answered."
