"""The errors of resumed streams and repeated requests."""

from __future__ import annotations

from app.problems import Problem


class IdempotencyConflict(Problem):
    """The `Idempotency-Key` was used for another request."""

    status = 409
    code = "idempotency_conflict"
    sentence = "This Idempotency-Key was used for another request."


class IdempotencyInDoubt(Problem):
    """The first request with this `Idempotency-Key` may have been billed, but its answer is lost or no longer stored."""

    status = 409
    code = "idempotency_in_doubt"
    sentence = "The first request with this Idempotency-Key may have been billed, but its answer is not available."


class AnswerTooLong(IdempotencyInDoubt):
    """The first request with this `Idempotency-Key` was answered and billed, but its answer was too long to be stored."""

    sentence = "The first request with this Idempotency-Key was answered, but its answer was too long to be kept."


class AnswerLost(Problem):
    """The worker that wrote a resumed or repeated stream has died; only such a stream shows it."""

    status = 503
    code = "answer_lost"
    sentence = "The answer broke off; send the request again."


class StreamNotFound(Problem):
    """There is no such stream of this caller, or it is no longer stored."""

    status = 404
    code = "not_found"
    sentence = "There is no such stream."


class TooManyRunningAnswers(Problem):
    """The user has too many resumable streams running."""

    status = 429
    code = "concurrency_limit"
    sentence = "Too many of your resumable streams are running; try again shortly."
    retry_after_s = 1.0
