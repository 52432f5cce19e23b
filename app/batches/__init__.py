"""The Batch API: many requests sent as one, at half the price, answered by the upstream within a day.

batches        Batches: submit, poll, read and cancel
submission     reserves the cost and submits to the upstream
poller         updates a batch from the upstream, and settles it at its end
settlement     adds up the cost of a batch's requests
results        returns the results in the order of the requests
records        dataclasses of a batch and its requests, and the errors
store, tables  the rows of batches in the database
"""

from app.batches.batches import Batches, PollResult
from app.batches.records import (
    KINDS,
    Batch,
    BatchNotEnded,
    BatchOwner,
    BatchRequest,
    Kind,
    NewBatch,
    RequestCancelled,
    ResultsGone,
    SentRequest,
)
from app.batches.results import BatchResults

__all__ = [
    "KINDS",
    "Batch",
    "BatchNotEnded",
    "BatchOwner",
    "BatchRequest",
    "BatchResults",
    "Batches",
    "Kind",
    "NewBatch",
    "PollResult",
    "RequestCancelled",
    "ResultsGone",
    "SentRequest",
]
