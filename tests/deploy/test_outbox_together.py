"""Fifty deliveries are killed: the receiver hears of each settled request."""

from __future__ import annotations

import pytest

from tests.billing.outbox.kills import kill_deliveries
from tests.fakes.databases import migrated_database, migrated_file, postgres_server, store

__all__ = ["migrated_database", "migrated_file", "postgres_server", "store"]

pytestmark = pytest.mark.servers


def test_nothing_is_lost_over_fifty_kills(store, tmp_path):
    kill_deliveries(store.url, tmp_path, times=50)
