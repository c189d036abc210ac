"""A real OTLP export, decoded with the official types: what is not on the list is not in it."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gateway import telemetry


def test_inv18_a_planted_name_is_not_in_the_export() -> None:
    """Invariant 18, for spans."""
    bodies: list[bytes] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    provider = telemetry.send_traces(f"http://127.0.0.1:{server.server_port}/v1/traces")
    try:
        with telemetry.span("sandbox", task="deid.core", patient="PLANTED-NAME"):
            pass
        with pytest.raises(ValueError, match="PLANTED"), telemetry.span("sandbox", task="deid.copy"):
            raise ValueError("PLANTED-GENOTYPE 0/1")
    finally:
        provider.shutdown()
        server.shutdown()
        server.server_close()
    spans = [
        span
        for body in bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert [span.name for span in spans] == ["sandbox", "sandbox"]
    assert {a.key for span in spans for a in span.attributes} == {"task", "code"}
    assert not any(b"PLANTED" in body for body in bodies)
