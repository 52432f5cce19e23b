"""The dataclasses of batches and their requests, and the errors of reading results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from app.openai_service import CHAT_PATH, EMBEDDINGS_PATH, UpstreamBatch
from app.problems import Problem

Kind = Literal["chat", "embeddings", "vision", "structured"]

KINDS: tuple[Kind, ...] = ("chat", "embeddings", "vision", "structured")

PATHS: dict[Kind, str] = dict.fromkeys(KINDS, CHAT_PATH) | {"embeddings": EMBEDDINGS_PATH}

_RUNNING = frozenset({"validating", "in_progress", "finalizing", "cancelling"})


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """One request of a new batch.

    Attributes:
        id: the client's id of the request.
        body: the body without the model, in the format of chat completions or of embeddings.
        answer_format: the format that the answer of a structured request must match, as JSON; empty for other requests.
    """

    id: str
    body: dict[str, Any]
    answer_format: str = ""


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A batch to submit.

    Attributes:
        kind: the kind of all its requests.
        model: the model of all its requests.
        requests: the requests, in the order of the results.
        path: the path of the upstream's endpoint for these requests.
    """

    kind: Kind
    model: str
    requests: Sequence[BatchRequest]
    path: str


@dataclass(frozen=True, slots=True)
class BatchOwner:
    """The owner of batches: a user, a whole tenant if `user` is None, or all tenants if both are None."""

    tenant: str | None
    user: str | None


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A stored request of a submitted batch: the client's id, upper bounds of its tokens, and the format of its answer."""

    id: str
    max_input_tokens: int
    max_output_tokens: int
    answer_format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A stored batch. Times are UTC milliseconds.

    Attributes:
        status: submitting, validating, in_progress, finalizing or cancelling, and finally completed, failed, expired or
            cancelled.
        completed, failed: numbers of requests. Their sum is `total` only when the batch has ended.
        cost_micro_usd: None before the end, or if the price is unknown.
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
    def caller(self) -> str:
        """The user to whom failures of requests about this batch are attributed."""
        return f"{self.tenant}/{self.user}"

    @property
    def has_ended(self) -> bool:
        """Whether the batch is settled."""
        return self.ended_at is not None


def map_running_status(upstream: UpstreamBatch) -> str:
    """Return the status to show for a batch that is not settled yet, even if it has ended at the upstream."""
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
    """Only in the results of a batch: it was cancelled before the upstream answered this request."""

    status = 499
    code = "cancelled"
    sentence = "The batch was cancelled before this request was answered."
