"""Deliveries are killed, fifty or KILLS: the receiver hears of each settled request."""

from __future__ import annotations

import os

import pytest

from tests.billing.outbox.kills import kill_deliveries
from tests.fakes.storage.databases import migrated_database, postgres_server, store

__all__ = ["migrated_database", "postgres_server", "store"]

pytestmark = pytest.mark.servers


def test_nothing_is_lost_over_many_kills(store, tmp_path):
    times = int(os.environ.get("KILLS", "50"))
    told = kill_deliveries(store.url, tmp_path, times=times)
    told_of = f"{told.rows} rows settled and told of, {told.repeats} of them more than once"
    print(f"{times} processes killed: {told_of}")  # noqa: T201  # `make kills` shows it
