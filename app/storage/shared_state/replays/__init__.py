"""Answers that can be given again: to a repeated request, or from the middle of a stream.

- `answer_log.py`: what has been sent of an answer, written by the worker that makes it
- `answer_reader.py`: reads it from any worker, while it grows
- `idempotency.py`: which answer belongs to an Idempotency-Key
- `kept_answers.py`: how much is kept for each user
- `signs.py`: what others leave for the worker that makes it: that it is read, or stopped
- `keys.py`: where in the shared state all of that is
- `errors.py`: the errors of all
"""

from app.storage.shared_state.replays.answer_log import AnswerHead, AnswerLog
from app.storage.shared_state.replays.answer_reader import AnswerReader
from app.storage.shared_state.replays.idempotency import Claim, IdempotencyKeys, Replay
from app.storage.shared_state.replays.kept_answers import AnswerStore, CompleteAnswer

__all__ = [
    "AnswerHead",
    "AnswerLog",
    "AnswerReader",
    "AnswerStore",
    "Claim",
    "CompleteAnswer",
    "IdempotencyKeys",
    "Replay",
]
