"""OpenTelemetry spans around the ports, with an allow-list of attributes: anything else never reaches an exporter.

Structured logs follow the same list. No name, identifier or genotype can be attached by mistake, because what is not
listed here is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

ALLOWED = frozenset({"task", "step", "state", "outcome", "code", "route", "status", "size"})

_tracer = trace.get_tracer("tongguan")


@contextmanager
def span(name: str, **attributes: str | int) -> Iterator[None]:
    """A span; attributes outside the allow-list are dropped, and exceptions leave only the name of their type."""
    kept = {key: value for key, value in attributes.items() if key in ALLOWED}
    with _tracer.start_as_current_span(
        name, attributes=kept, record_exception=False, set_status_on_exception=False
    ) as here:
        try:
            yield
        except BaseException as error:
            here.set_attribute("code", str(getattr(error, "code", type(error).__name__)))
            raise


def send_traces(endpoint: str) -> TracerProvider:
    """Export to an OTLP/HTTP endpoint until the provider is shut down."""
    provider = TracerProvider(resource=Resource({"service.name": "tongguan"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)
    return provider
