"""OpenTelemetry spans around the ports; only what is on the list here can reach an exporter, whoever made the span.

Two fences. ``span`` keeps what is allowed when the span is made. ``OnlyAllowed`` stands before the exporter and keeps
it again, so that a package that makes spans of its own (a web framework, a database driver) cannot send an address, a
statement or the text of an exception: attributes are allowed by name *and* shape; events, links and status texts go.
Logs follow the same list (``gateway.logs``). No name, identifier of a person or genotype fits a shape by mistake:
words are ASCII without spaces and without runs of four digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Status

WORD = re.compile(r"(?!.*[0-9]{4})[A-Za-z][A-Za-z0-9_.:-]{0,63}", re.ASCII)
ROUTE = re.compile(r"(?!.*[0-9]{4})/[A-Za-z0-9_.:/{}-]{0,127}", re.ASCII)
OPAQUE = re.compile(r"[0-9a-f]{32}", re.ASCII)

ALLOWED: Mapping[str, re.Pattern[str] | None] = {
    "task": WORD,
    "step": WORD,
    "state": WORD,
    "outcome": WORD,
    "code": WORD,
    "rule": WORD,
    "route": ROUTE,  # the template, never the path that was asked for
    "method": WORD,
    "release": OPAQUE,
    "status": None,
    "size": None,
    "count": None,
    "milliseconds": None,
}
"""Every attribute that may be seen outside, with the shape of its text; None means numbers only."""

_tracer = trace.get_tracer("tongguan")


def allowed(given: Mapping[str, object]) -> dict[str, str | int | float]:
    """The part of ``given`` that is on the list and in shape; everything else is dropped without a trace."""
    kept: dict[str, str | int | float] = {}
    for key, value in given.items():
        if key not in ALLOWED:
            continue
        shape = ALLOWED[key]
        if shape is None and isinstance(value, int | float):
            kept[key] = value
        elif shape is not None and isinstance(value, str) and shape.fullmatch(value):
            kept[key] = str(value)
    return kept


def word(text: str, otherwise: str) -> str:
    """``text`` where it has the shape of a word, else ``otherwise``."""
    return str(text) if WORD.fullmatch(text) else otherwise


def code_of(error: BaseException) -> str:
    """What may be told of an exception: our stable code, or the name of a foreign type; never its text."""
    return word(str(getattr(error, "code", type(error).__name__)), type(error).__name__)


@contextmanager
def span(name: str, /, **attributes: str | int) -> Iterator[None]:
    """A span; attributes outside the list are dropped, and an exception leaves only its code."""
    kept = allowed(attributes)
    with _tracer.start_as_current_span(
        name, attributes=kept, record_exception=False, set_status_on_exception=False
    ) as here:
        try:
            yield
        except BaseException as error:
            here.set_attribute("code", code_of(error))
            raise


class OnlyAllowed(SpanExporter):
    """Stands before another exporter and lets pass only what is on the list."""

    def __init__(self, behind: SpanExporter) -> None:
        self._behind = behind

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export copies that hold the allowed attributes and nothing else that is text."""
        return self._behind.export([_bare(span) for span in spans])

    def shutdown(self) -> None:
        """Close the exporter behind."""
        self._behind.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush the exporter behind."""
        return self._behind.force_flush(timeout_millis)


def _bare(span: ReadableSpan) -> ReadableSpan:
    """A copy without events, links and status text; a name that is no word or route becomes ``unnamed``."""
    name = span.name if WORD.fullmatch(span.name) or ROUTE.fullmatch(span.name) else "unnamed"
    return ReadableSpan(
        name=name,
        context=span.context,
        parent=span.parent,
        resource=_RESOURCE,
        attributes=allowed(span.attributes or {}),
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


_RESOURCE = Resource({"service.name": "tongguan"})  # not Resource.create, which reads the environment


def send_traces(endpoint: str) -> TracerProvider:
    """Export to an OTLP/HTTP traces endpoint until the provider is shut down."""
    # Imported here: most commands send nothing and should not wait for an HTTP library.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    provider = TracerProvider(resource=_RESOURCE)
    provider.add_span_processor(BatchSpanProcessor(OnlyAllowed(OTLPSpanExporter(endpoint=endpoint))))
    trace.set_tracer_provider(provider)
    return provider
