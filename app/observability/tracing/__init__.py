"""Traces for OpenTelemetry. Without `OTEL_EXPORTER_OTLP_ENDPOINT`, only `traceparent.py` is loaded.

traceparent.py         parses the header `traceparent` of W3C Trace Context
spans.py               a span for each request, attempt and tool run; never any content
request_attributes.py  the attributes of a span about the request to a model
provider.py            Tracing: collects spans, and exports them in a background thread
"""
