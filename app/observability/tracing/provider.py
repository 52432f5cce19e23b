"""Create the spans of this process, and export them by OTLP over HTTP in a background thread."""

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
"""The version of the semantic conventions that the names of the attributes follow."""

_MAX_QUEUED = 2048
"""The maximum number of spans that wait for export. Further ones are dropped, so that no request waits."""

_TIMEOUT_S = 5.0
_CLOSE_S = 2.0
"""How long a stopping process waits for the export. Without a collector, each batch would take its timeout."""


class Tracing:
    """The traces of a process."""

    def __init__(self, settings: TracingSettings, version: str) -> None:
        """Create it. The variables OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG set the sampling.

        Args:
            settings: where spans are sent to, and the attributes of all of them.
            version: the version of this server.
        """
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # the exporter below logs lost spans
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
        """Begin the spans of a request, as children of the caller's span if it has sent a traceparent."""
        return RequestTrace(self._tracer, self._upstream, caller)

    def flush(self) -> None:
        """Export all waiting spans now."""
        self._provider.force_flush()

    def close(self) -> None:
        """Export the waiting spans, and stop; drop those that the collector does not accept in time."""
        stop = threading.Thread(target=self._provider.shutdown, daemon=True)
        stop.start()
        stop.join(_CLOSE_S)


class _Exporter(OTLPSpanExporter):
    """Logs lost spans once a minute, instead of once a batch."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._throttle = LogThrottle()
        self._lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans. If the collector does not accept them, they are lost."""
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
