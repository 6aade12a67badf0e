import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from serving.observability import tracing
from serving.observability.tracing import request_span, work_span
from tests.limits import LONGEST_S

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


def test_spans_reach_the_endpoint() -> None:
    received: list[tuple[str, str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, self.headers["Content-Type"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    program = (
        "import sys; from serving.observability.tracing import configure_tracing, work_span\n"
        "configure_tracing(sys.argv[1])\n"
        "with work_span('score', tiles=3): pass"
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        endpoint = f"http://127.0.0.1:{server.server_port}/v1/traces"
        # In a process of its own: a provider is set once in a process, and spans are sent when it ends at the latest.
        subprocess.run([sys.executable, "-c", program, endpoint], check=True, timeout=LONGEST_S)
        server.shutdown()
        thread.join()
    ((path, kind, body),) = received
    assert (path, kind) == ("/v1/traces", "application/x-protobuf")
    assert b"mitoserve" in body
    assert b"score" in body
