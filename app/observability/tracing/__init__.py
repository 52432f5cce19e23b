"""Traces in OpenTelemetry's form; without `OTEL_EXPORTER_OTLP_ENDPOINT` only `traceparent.py` is loaded.

traceparent.py         the header of W3C Trace Context: whether a caller's is valid, and sampled
spans.py               a span for each request, and one for each of its attempts; never any content
request_attributes.py  what a span says of the request to a model
provider.py            Tracing: collects spans, and sends them from a thread of its own
"""
