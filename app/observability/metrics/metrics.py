"""Collect the metrics of this process, and render those of all workers."""

from __future__ import annotations

import logging
import platform
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, values
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder

from app.config import Config
from app.observability.metrics.counters import Counters
from app.observability.metrics.readings import Readings, Sources
from app.observability.metrics.sampling import Sampler
from app.observability.metrics.worker_files import WorkerFiles
from app.runtime.blocking import run_blocking
from app.runtime.version import find_version

log = logging.getLogger(__name__)


class Metrics:
    """The metrics of `/metrics`."""

    def __init__(self, config: Config, build_version: str, files: WorkerFiles | None = None) -> None:
        """Create them. They are counted in `files`, which all workers read; without, in this process's memory."""
        self._registry = CollectorRegistry()
        self._files = files
        models = {model for offered in config.models.offered.values() for model in offered}
        self.counters = Counters(self._registry, models | {config.moderation_model})
        self._build = _describe_build(build_version)
        self._readings: Readings | None = None
        self._sampler: Sampler | None = None
        self._sources: Sources | None = None

    def connect(self, sources: Sources) -> None:
        """Set the services that are read at a scrape, or sampled once a second."""
        self._readings, self._sources = Readings(sources), sources

    def start(self) -> None:
        """Start sampling this process once a second."""
        self.counters.workers.set(1)
        self._sampler = Sampler(self._sample)
        self._sampler.start()

    def close(self) -> None:
        """Stop sampling."""
        if self._sampler is not None:
            self._sampler.close()

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics in a format that the scraper accepts, and the content type."""
        if self._files is None:
            self._sample()
        encode, content_type = choose_encoder(accept)
        families = [self._build, *self._read_counted(), *(self._readings.collect() if self._readings else ())]
        return encode(_Families(families)), content_type

    def _read_counted(self) -> list[Metric]:
        if self._files is None:
            return list(self._registry.collect())
        try:
            return run_blocking(self._files.read)
        except (
            OSError,
            ValueError,
            RuntimeError,
            struct.error,
        ) as error:  # files are missing, or have another format
            log.error("metrics.files_unusable", extra={"reason": type(error).__name__})
            return []

    def _sample(self) -> None:
        if self._sources is None:
            return
        counters, sources = self.counters, self._sources
        used, limit = sources.openai_service.read_retry_budget()
        counters.retry_budget_used.set(used)
        counters.retry_budget_limit.set(limit)
        counters.pending_settlements.set(sources.ledger.count_pending())
        counters.note_jobs("images", *sources.image_processes.count_jobs())
        counters.note_jobs("files", *sources.document_processes.count_jobs())


@dataclass(frozen=True, slots=True)
class _Families:
    """Metric families with the interface of a registry, for the encoder."""

    families: Iterable[Metric]

    def collect(self) -> Iterable[Metric]:
        return self.families


def open_metrics(config: Config, root: Path) -> Metrics | None:
    """Return the metrics of this process; None if its files cannot be written, as on a full or read-only disk."""
    build_version = find_version(Path(__file__).parents[3])
    if not values.ValueClass._multiprocess:
        return Metrics(config, build_version)
    files = WorkerFiles(root / config.state_dir / "metrics")
    try:
        files.allocate()
    except OSError as error:
        log.error(
            "metrics.off",
            extra={"reason": type(error).__name__, "hint": "free some space in STATE_DIR, and restart"},
        )
        return None
    return Metrics(config, build_version, files)


def _describe_build(build_version: str) -> Metric:
    labels = {"version": build_version, "python": platform.python_version(), "openai": version("openai")}
    family = GaugeMetricFamily("gatehouse_build_info", "What runs here", labels=list(labels))
    family.add_metric(list(labels.values()), 1)
    return family
