"""OpenTelemetry traces of requests and analyses; nothing is recorded or sent until an endpoint is set."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from serving import __version__

_tracer = trace.get_tracer("mitoserve", __version__)


def configure_tracing(endpoint: str | None) -> None:
    """Send traces to `endpoint` over OTLP/HTTP, in batches from a thread; with None, nothing happens."""
    if endpoint is None:
        return
    # Imported where they are wanted: the exporter takes longer to import than the rest of the server's own code.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(resource=Resource.create({"service.name": "mitoserve", "service.version": __version__}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)


@contextmanager
def request_span(headers: Mapping[str, str]) -> Iterator[Span]:
    """A span of one request, the child of the caller's span where its headers name one (W3C Trace Context)."""
    parent = propagate.extract(headers)
    with _tracer.start_as_current_span(
        "request", context=parent, kind=SpanKind.SERVER, record_exception=False, set_status_on_exception=False
    ) as span:
        yield span


@contextmanager
def work_span(name: str, **attributes: str | int | float) -> Iterator[Span]:
    """A span of work inside the server; an error that leaves it marks it by its type, for its text may name a slide."""
    with _tracer.start_as_current_span(
        name, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except BaseException as error:
            span.set_status(Status(StatusCode.ERROR, type(error).__qualname__))
            raise
