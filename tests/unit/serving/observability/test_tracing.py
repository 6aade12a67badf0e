from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from serving.observability import tracing
from serving.observability.tracing import request_span, work_span

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    yield exporter
    provider.shutdown()


def test_nothing_is_recorded_until_it_is_asked_for() -> None:
    tracing.configure_tracing(None)
    with request_span({}) as span, work_span("score", tiles=3):
        assert not span.is_recording()


def test_a_request_continues_the_callers_trace(spans: InMemorySpanExporter) -> None:
    with request_span({"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}), work_span("score", tiles=3):
        pass
    work, request = spans.get_finished_spans()
    assert request.context is not None
    assert trace.format_trace_id(request.context.trace_id) == TRACE
    assert work.parent == request.context
    assert work.attributes == {"tiles": 3}


def test_an_error_marks_the_span_by_its_type_alone(spans: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="Jane"), work_span("score"):
        raise ValueError("Jane-Doe.svs")
    (span,) = spans.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "ValueError"
    assert not span.events
