"""Stored answers, which can be sent again to a repeated request, or from the middle of a stream.

- `answer_log.py`: AnswerLog, by which the worker that generates an answer stores what it sends
- `answer_reader.py`: AnswerReader, which reads a stored answer in any worker, while it grows
- `idempotency.py`: finds the answer of an Idempotency-Key
- `answer_store.py`: AnswerStore, which limits how much is stored for each user
- `signals.py`: signals of other workers to the one that writes an answer: it is being read, or must stop
- `keys.py`: the keys in the shared state
- `errors.py`: the errors
"""

from app.storage.shared_state.replays.answer_log import AnswerHead, AnswerLog
from app.storage.shared_state.replays.answer_reader import AnswerReader
from app.storage.shared_state.replays.answer_store import AnswerStore, CompleteAnswer
from app.storage.shared_state.replays.idempotency import Claim, IdempotencyKeys, Replay

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
