"""What one chat, and the beginning and end of a stream, make this program do, in figures that no neighbour on the machine can change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.counts import calls
from bench.procs import running
from bench.targets import PRODUCT, Target, start_upstream

# As measured; whatever lowers one of them lowers it here too.
CALLS = 969
STATEMENTS = 3
STREAM_CALLS = 1345
"""Of a stream of one chunk: what a stream takes to begin and to end."""
SLACK = 1.05


@pytest.fixture
def upstream_port(tmp_path: Path) -> Iterator[int]:
    upstream, port = start_upstream(tmp_path / "upstream")
    with running(upstream):
        yield port


def test_warm_chat_takes_no_more_calls_and_statements_than_measured(upstream_port: int, tmp_path: Path) -> None:
    rows = calls.count(Target(PRODUCT, PRODUCT), upstream_port, tmp_path / "counted")

    by_package = {name: number for name, number in rows.items() if name.startswith("calls_")}
    assert rows["calls"] == sum(by_package.values())
    assert rows["calls"] <= CALLS * SLACK, by_package
    assert rows["statements"] <= STATEMENTS
    assert rows["stream_calls"] <= STREAM_CALLS * SLACK
