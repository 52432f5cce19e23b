"""The files of several workers, of which some have died."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from prometheus_client.mmap_dict import mmap_key

from app.observability.metrics.worker_files import WorkerFiles, _open_file

DEAD = (2**22 + 1, 2**22 + 2)
"""Above the largest number that Linux gives to a process."""


def write_half(path: Path, data: bytes) -> int:
    path.touch()
    raise OSError(errno.ENOSPC, "No space left on device")


def write(folder: Path, kind: str, process: int, value: float, name: str = "calls") -> None:
    file: Any = _open_file(str(folder / f"{kind}_{process}.db"))
    key = mmap_key(name, f"{name}_total" if kind == "counter" else name, [], [], "help")
    file.write_value(key, value, 0.0)
    file.close()


def sums(folder: Path) -> dict[str, float]:
    return {
        sample.name: sample.value
        for metric in WorkerFiles(folder).read()
        for sample in metric.samples
        if not sample.name.endswith("_created")
    }


def test_dead_workers_leave_one_file_and_all_that_they_counted(tmp_path: Path) -> None:
    write(tmp_path, "counter", os.getpid(), 1)
    for process, value in zip(DEAD, (10, 100), strict=True):
        write(tmp_path, "counter", process, value)

    assert sums(tmp_path) == {"calls_total": 111}
    write(tmp_path, "counter", DEAD[0], 1000)
    assert sums(tmp_path) == sums(tmp_path) == {"calls_total": 1111}
    assert sorted(path.name for path in tmp_path.glob("*.db")) == ["counter_0.db", f"counter_{os.getpid()}.db"]


def test_gauges_of_dead_workers_are_forgotten(tmp_path: Path) -> None:
    write(tmp_path, "gauge_livesum", os.getpid(), 2, "streams")
    write(tmp_path, "gauge_livesum", DEAD[0], 30, "streams")

    assert sums(tmp_path) == {"streams": 2}


def test_files_are_whole_before_anything_is_counted(tmp_path: Path) -> None:
    WorkerFiles(tmp_path).allocate()
    made = list(tmp_path.glob("*.db"))

    assert len(made) == 3
    assert all(path.stat().st_blocks * 512 >= path.stat().st_size == 1 << 20 for path in made)
    assert sums(tmp_path) == {}


def test_a_worker_that_died_while_it_made_its_file_breaks_nothing(tmp_path: Path) -> None:
    (tmp_path / f"counter_{DEAD[0]}.db").touch()
    (tmp_path / f"histogram_{DEAD[0]}.db").touch()

    assert sums(tmp_path) == {}


def test_on_a_full_disk_nothing_is_lost_and_no_half_file_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "counter", DEAD[0], 7)
    monkeypatch.setattr(Path, "write_bytes", write_half)

    with pytest.raises(OSError, match="No space"):
        WorkerFiles(tmp_path).allocate()
    assert sums(tmp_path) == {"calls_total": 7}
    assert [path.name for path in tmp_path.iterdir() if path.name != "lock"] == [f"counter_{DEAD[0]}.db"]


def test_a_full_disk_turns_metrics_off_and_not_the_server(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch, data_root: Path
) -> None:
    (data_root / "instance" / "metrics").mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr("prometheus_client.values.ValueClass._multiprocess", True)
    monkeypatch.setattr(Path, "write_bytes", write_half)
    client = make_app(metrics_allow=("127.0.0.1",)).test_client()

    assert client.get("/metrics").status_code == 404
    assert client.get("/healthz").status_code == 200


def test_strangers_files_fail_no_scrape(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    app = make_app(metrics_allow=("127.0.0.1",))
    metrics = app.extensions["gatehouse"].metrics
    metrics._files = WorkerFiles(tmp_path)
    for name in ("notes.db", "counter_7_x.db", f"counter_{os.getpid()}.db"):
        (tmp_path / name).write_bytes(b"\xff" * 64)
        assert b"gatehouse_store_up" in metrics.render("")[0]
    metrics._files = WorkerFiles(tmp_path / "gone")
    assert b"gatehouse_store_up" in metrics.render("")[0]
