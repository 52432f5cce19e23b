"""Batches: many requests at half the price, charged as one, answered by the upstream within a day."""

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
]
