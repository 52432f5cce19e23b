"""Tracing: makes the spans of this process and sends them, by OTLP over HTTP, from a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

from app.config.groups import TracingSettings
from app.observability.tracing.spans import RequestTrace
from app.observability.tracing.traceparent import Traceparent
from app.runtime.log_throttle import LogThrottle

log = logging.getLogger(__name__)

SCHEMA = "https://opentelemetry.io/schemas/1.37.0"
"""The version of the semantic conventions whose names the attributes have."""

_MAX_QUEUED = 2048
"""So many spans wait for the collector; more are dropped, and no request waits."""

_TIMEOUT_S = 5.0
_CLOSE_S = 2.0
"""For so long a process that stops waits for the collector: as long as that is away, each batch takes its timeout."""


class Tracing:
    """The traces of a process."""

    def __init__(self, settings: TracingSettings, version: str) -> None:
        """Open it. Sampling is up to the variables OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG.

        Args:
            settings: where the spans go.
            version: of this server.
        """
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # the exporter below says what is lost
        exporter = _Exporter(
            endpoint=f"{settings.endpoint.rstrip('/')}/v1/traces",
            headers=dict(settings.headers) or None,
            timeout=_TIMEOUT_S,
        )
        resource = Resource.create({"service.name": settings.service_name, "service.version": version})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=_MAX_QUEUED))
        self._tracer = self._provider.get_tracer("gatehouse", version, schema_url=SCHEMA)
        self._upstream = _describe_upstream(settings)

    def begin(self, caller: Traceparent | None) -> RequestTrace:
        """Begin the spans of a request, below its caller's if that has sent one."""
        return RequestTrace(self._tracer, self._upstream, caller)

    def flush(self) -> None:
        """Send what waits, now."""
        self._provider.force_flush()

    def close(self) -> None:
        """Send what waits, and stop; give up what the collector does not take in time."""
        stop = threading.Thread(target=self._provider.shutdown, daemon=True)
        stop.start()
        stop.join(_CLOSE_S)


class _Exporter(OTLPSpanExporter):
    """Says once a minute that spans were lost, instead of with each batch."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._throttle = LogThrottle()
        self._lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans. What is not taken is lost."""
        result = super().export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._lost += len(spans)
            if self._throttle.allows("lost"):
                hint = "check OTEL_EXPORTER_OTLP_ENDPOINT and its headers, and that the collector runs"
                log.error("traces.lost", extra={"spans": self._lost, "hint": hint})
                self._lost = 0
        return result


def _describe_upstream(settings: TracingSettings) -> dict[str, Any]:
    url = urlsplit(settings.upstream_url)
    return {
        "gen_ai.provider.name": settings.provider,
        "server.address": url.hostname,
        "server.port": url.port or (80 if url.scheme == "http" else 443),
        "http.request.method": "POST",
    }
