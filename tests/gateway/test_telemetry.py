"""Spans: names and numbers of OpenTelemetry's conventions for generative AI, the tree of the run, and no texts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk", reason="pip install 'ponder[gateway]'")

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from ponder import Budget, ScriptedModel, solve
from ponder.core.trace import Event, Trace
from ponder.core.usage import Usage
from ponder.gateway.settings import Traces
from ponder.gateway.telemetry import Telemetry
from ponder.gateway.trace_book import TraceRecord

RUN = [
    Event(1, 0, 0.0, "run", "open", {"method": "best_of_n", "seed": 3, "settings": {"n": 2}, "task": "secret"}),
    Event(2, 1, 0.1, "call", "open", {"role": "policy", "model": "openai:qwen", "index": 0, "max_tokens": 50}),
    Event(
        2,
        1,
        0.4,
        "call",
        "close",
        {
            "index": 0,
            "finish": "stop",
            "text": "secret",
            "paid": {"calls": 1, "prompt_tokens": 10, "completion_tokens": 5, "cached_tokens": 4, "usd": None},
            "stored": False,
            "error": None,
            "interrupted": None,
        },
    ),
    Event(3, 1, 0.2, "call", "open", {"role": "policy", "model": "openai:qwen", "index": 1, "max_tokens": 50}),
    Event(3, 1, 0.5, "call", "close", {"index": 1, "finish": None, "text": "", "error": "secret refused"}),
    Event(4, 1, 0.6, "score", "instant", {"verifier": "judge", "index": 0, "score": {"value": 0.75}}),
    Event(5, 1, 0.6, "score", "instant", {"verifier": "judge", "index": 1, "score": {"value": None}}),
    Event(6, 1, 0.7, "commit", "instant", {"index": 0, "text": "secret"}),
    Event(
        1,
        0,
        0.8,
        "run",
        "close",
        {
            "stopped": "done",
            "answer": "secret",
            "chosen": 0,
            "paid": {"policy": {"prompt_tokens": 10, "completion_tokens": 5, "calls": 1, "usd": None}},
        },
    ),
]
RECORD = TraceRecord(
    id="abc",
    created=1000.0,
    key="alice",
    method="best_of_n",
    model="qwen",
    status=200,
    stopped="done",
    seconds=1.0,
    paid={"policy": Usage(calls=1, prompt_tokens=10, completion_tokens=5)},
    request={"messages": "secret"},
    events=RUN,
)


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def telemetry(spans: InMemorySpanExporter) -> Iterator[Telemetry]:
    made = Telemetry(spans, batch=False)
    yield made
    made.close()


def named(spans: InMemorySpanExporter) -> dict[str, Any]:
    finished: list[Any] = list(spans.get_finished_spans())
    return {f"{s.name} {s.attributes.get('ponder.index', '')}".strip(): s for s in finished}


def test_a_request_is_a_tree_with_the_times_of_the_trace(spans: InMemorySpanExporter, telemetry: Telemetry) -> None:
    telemetry.export(RECORD)
    found = named(spans)
    assert set(found) == {"ponder best_of_n", "invoke_agent best_of_n", "chat openai:qwen 0", "chat openai:qwen 1"}
    root, run, call = (found[n] for n in ("ponder best_of_n", "invoke_agent best_of_n", "chat openai:qwen 0"))
    assert (root.parent, run.parent.span_id, call.parent.span_id) == (None, root.context.span_id, run.context.span_id)
    assert (root.kind, run.kind, call.kind) == (SpanKind.SERVER, SpanKind.INTERNAL, SpanKind.CLIENT)
    assert (call.start_time, call.end_time) == (1_000_100_000_000, 1_000_400_000_000)
    assert (root.start_time, root.end_time) == (1_000_000_000_000, 1_001_000_000_000)


def test_attributes_are_those_of_the_conventions(spans: InMemorySpanExporter, telemetry: Telemetry) -> None:
    from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as names

    telemetry.export(RECORD)
    found = named(spans)
    assert dict(found["chat openai:qwen 0"].attributes) == {
        names.GEN_AI_OPERATION_NAME: "chat",
        names.GEN_AI_PROVIDER_NAME: "openai",
        names.GEN_AI_REQUEST_MODEL: "qwen",
        names.GEN_AI_REQUEST_MAX_TOKENS: 50,
        names.GEN_AI_RESPONSE_FINISH_REASONS: ("stop",),
        names.GEN_AI_USAGE_INPUT_TOKENS: 10,
        names.GEN_AI_USAGE_OUTPUT_TOKENS: 5,
        names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: 4,
        "ponder.role": "policy",
        "ponder.index": 0,
        "ponder.usage.calls": 1,
        "ponder.stored": False,
    }
    run = found["invoke_agent best_of_n"]
    assert run.attributes[names.GEN_AI_OPERATION_NAME] == "invoke_agent"
    assert run.attributes[names.GEN_AI_AGENT_NAME] == "best_of_n"
    first, second, commit = run.events
    assert first.name == "gen_ai.evaluation.result"
    assert dict(first.attributes) == {
        names.GEN_AI_EVALUATION_NAME: "judge",
        names.GEN_AI_EVALUATION_SCORE_VALUE: 0.75,
        "ponder.index": 0,
    }
    assert names.GEN_AI_EVALUATION_SCORE_VALUE not in second.attributes  # missing is missing, not zero
    assert commit.name == "ponder.commit"


def test_failures_show(spans: InMemorySpanExporter, telemetry: Telemetry) -> None:
    telemetry.export(replace(RECORD, status=502))
    found = named(spans)
    assert found["chat openai:qwen 1"].status.status_code is StatusCode.ERROR
    assert found["chat openai:qwen 1"].attributes["error.type"] == "provider_error"
    assert found["ponder best_of_n"].status.status_code is StatusCode.ERROR
    assert found["chat openai:qwen 0"].status.status_code is StatusCode.UNSET


def test_no_text_leaves(spans: InMemorySpanExporter, telemetry: Telemetry) -> None:
    telemetry.export(RECORD)
    assert not any("secret" in span.to_json() for span in spans.get_finished_spans())


def test_spans_that_were_never_closed_end_with_the_request(spans: InMemorySpanExporter, telemetry: Telemetry) -> None:
    telemetry.export(replace(RECORD, events=RUN[:2]))
    assert {span.end_time for span in spans.get_finished_spans()} == {1_001_000_000_000}
    assert len(spans.get_finished_spans()) == 3


def test_the_clients_trace_goes_on(spans: InMemorySpanExporter, telemetry: Telemetry) -> None:
    telemetry.export(RECORD, traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    root = named(spans)["ponder best_of_n"]
    assert root.context.trace_id == 0x0AF7651916CD43DD8448EB211C80319C
    assert root.parent.span_id == 0xB7AD6B7169203331
    telemetry.export(RECORD, traceparent="nonsense")
    assert spans.get_finished_spans()[-1].parent is None


async def test_a_real_run_has_a_span_for_each_call(spans: InMemorySpanExporter, telemetry: Telemetry) -> None:
    trace = Trace()
    model = ScriptedModel(replies=["The answer is \\boxed{4}.", "It is \\boxed{5}, I think."])
    result = await solve("2+2?", model=model, method="self_consistency", budget=Budget(calls=5), trace=trace, n=5)
    telemetry.export(replace(RECORD, method=result.method, paid=result.paid, events=trace.events))
    chats: list[Any] = [span for span in spans.get_finished_spans() if span.name.startswith("chat")]
    assert len(chats) == result.cost.calls
    assert sum(span.attributes["gen_ai.usage.output_tokens"] for span in chats) == result.cost.completion_tokens


def test_it_is_sent_to_a_collector_by_otlp_over_http() -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    bodies: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            import gzip

            body = self.rfile.read(int(self.headers["content-length"]))
            bodies.append(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        made = Telemetry.open(Traces(otel_endpoint=f"http://127.0.0.1:{server.server_port}/v1/traces"))
        assert made is not None
        made.export(RECORD)
        made.close()
        server.shutdown()
        thread.join()
    sent = ExportTraceServiceRequest.FromString(b"".join(bodies))
    names = [span.name for batch in sent.resource_spans for scope in batch.scope_spans for span in scope.spans]
    assert sorted(names) == ["chat openai:qwen", "chat openai:qwen", "invoke_agent best_of_n", "ponder best_of_n"]


def test_nothing_is_exported_unless_asked_for() -> None:
    assert Telemetry.open(Traces()) is None
