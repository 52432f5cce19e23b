"""A collector of OpenTelemetry's, as far as it takes spans by OTLP over HTTP."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """Keeps what it was sent.

    Attributes:
        headers: of each request.
        bodies: the same, decompressed.
        status: of all answers.
    """

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.status = 200
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    data = gzip.decompress(data)
                assert self.path == "/v1/traces"
                collector.headers.append({name.lower(): value for name, value in self.headers.items()})
                collector.bodies.append(data)
                self.send_response(collector.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def resources(self) -> list[dict[str, Any]]:
        """The attributes of who sent them."""
        return [_read(each.resource.attributes) for each in self._groups()]

    @property
    def spans(self) -> list[dict[str, Any]]:
        """All spans so far, in the order of their ends."""
        return [
            {
                "name": span.name,
                "kind": span.kind,
                "trace": span.trace_id.hex(),
                "id": span.span_id.hex(),
                "parent": span.parent_span_id.hex(),
                "is_error": span.status.code == 2,
                "ms": (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6,
                "schema": scope.schema_url,
                "attributes": _read(span.attributes),
            }
            for group in self._groups()
            for scope in group.scope_spans
            for span in scope.spans
        ]

    def _groups(self) -> list[Any]:
        return [
            group for body in self.bodies for group in ExportTraceServiceRequest.FromString(body).resource_spans
        ]


def _read(attributes: Any) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind)
