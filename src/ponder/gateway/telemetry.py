"""Spans for OpenTelemetry, named by its conventions for generative AI.

A request becomes a tree: a server span, an `invoke_agent METHOD` span for each run in it (nested methods under theirs),
and a `chat MODEL` client span for each call, with tokens, finish reason and errors; a score is an event
`gen_ai.evaluation.result` of its run. Spans are made from the finished trace with its own times, so a run itself is not
slowed, and a thread of the SDK sends them. No span ever holds a prompt, an answer or any other text of a model or
client (the conventions make content opt-in; here it stays in the trace book).

Source: our own; OpenTelemetry semantic conventions for generative AI (in development there: names may still change).
Needs: opentelemetry-sdk, opentelemetry-exporter-otlp-proto-http (`pip install 'ponder[gateway]'`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ponder._version import __version__
from ponder.core.registry import need
from ponder.core.result import total
from ponder.core.trace import Event
from ponder.gateway.settings import Traces
from ponder.gateway.trace_book import TraceRecord

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

__all__ = ["Telemetry"]

_NANO = 1_000_000_000
_FEATURE = "export to OpenTelemetry"


class Telemetry:
    """Sends records as spans.

    Args:
        exporter: where spans go.
        batch: send from a thread, in batches; False sends each at once (for tests).
        service: name of this service in the collector.
    """

    def __init__(self, exporter: SpanExporter, *, batch: bool = True, service: str = "ponder") -> None:
        sdk = need("opentelemetry.sdk.trace", extra="gateway", feature=_FEATURE)
        export = need("opentelemetry.sdk.trace.export", extra="gateway", feature=_FEATURE)
        resources = need("opentelemetry.sdk.resources", extra="gateway", feature=_FEATURE)
        self._api = need("opentelemetry.trace", extra="gateway", feature=_FEATURE)
        self._context = need("opentelemetry.trace.propagation.tracecontext", extra="gateway", feature=_FEATURE)
        resource = resources.Resource.create({"service.name": service, "service.version": __version__})
        self._provider = sdk.TracerProvider(resource=resource, shutdown_on_exit=False)
        processor = export.BatchSpanProcessor if batch else export.SimpleSpanProcessor
        self._provider.add_span_processor(processor(exporter))
        self._tracer = self._provider.get_tracer("ponder.gateway", __version__)

    @classmethod
    def open(cls, rules: Traces) -> Telemetry | None:
        """Return the export that the settings ask for, or None.

        Raises:
            MissingExtra: the SDK or its OTLP exporter is not installed.
        """
        if rules.otel_endpoint is None:
            return None
        otlp = need("opentelemetry.exporter.otlp.proto.http.trace_exporter", extra="gateway", feature=_FEATURE)
        return cls(otlp.OTLPSpanExporter(endpoint=rules.otel_endpoint))

    def export(self, record: TraceRecord, *, traceparent: str | None = None) -> None:
        """Make the spans of a finished request.

        Args:
            record: with its events.
            traceparent: the client's header of that name (W3C Trace Context), to continue its trace.
        """
        carrier = {} if traceparent is None else {"traceparent": traceparent}
        around = self._context.TraceContextTextMapPropagator().extract(carrier)
        root = self._tracer.start_span(
            f"ponder {record.method}",
            context=around,
            kind=self._api.SpanKind.SERVER,
            start_time=round(record.created * _NANO),
            attributes=_clean(
                {
                    "http.response.status_code": record.status,
                    "gen_ai.request.model": record.model,
                    "ponder.trace": record.id,
                    "ponder.key": record.key,
                    "ponder.method": record.method,
                    "ponder.stopped": record.stopped or None,
                    **_usage(total(record.paid).to_json()),
                }
            ),
        )
        if record.status >= 500:
            root.set_status(self._api.Status(self._api.StatusCode.ERROR))
        self._spans(record, root)
        root.end(round((record.created + record.seconds) * _NANO))

    def close(self) -> None:
        """Send what waits and stop."""
        self._provider.shutdown()

    def _spans(self, record: TraceRecord, root: Span) -> None:
        """Open and end spans in the order of the events; what was never closed ends with the request."""
        spans: dict[int, Span] = {}
        for event in record.events:
            at = round((record.created + event.t) * _NANO)
            parent = spans.get(event.parent, root)
            if event.phase == "open":
                spans[event.id] = self._open(event, parent, at)
            elif event.phase == "close" and event.id in spans:
                self._end(event, spans[event.id], at)
            elif event.kind == "score":
                parent.add_event("gen_ai.evaluation.result", _score(event.data), at)
            elif event.phase == "instant":
                parent.add_event(f"ponder.{event.kind}", _clean({"ponder.index": event.data.get("index")}), at)
        for span in spans.values():
            if span.is_recording():
                span.end(round((record.created + record.seconds) * _NANO))

    def _open(self, event: Event, parent: Span, at: int) -> Span:
        data = event.data
        if event.kind == "call":
            name, kind = f"chat {data.get('model', '')}".strip(), self._api.SpanKind.CLIENT
            provider, _, model = str(data.get("model", "")).partition(":")
            attributes = {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": provider or None,
                "gen_ai.request.model": model or provider or None,
                "gen_ai.request.max_tokens": data.get("max_tokens"),
                "ponder.role": data.get("role"),
                "ponder.index": data.get("index"),
            }
        else:
            method = data.get("method")
            name, kind = f"invoke_agent {method}" if event.kind == "run" else event.kind, self._api.SpanKind.INTERNAL
            attributes = {
                "gen_ai.operation.name": "invoke_agent" if event.kind == "run" else None,
                "gen_ai.agent.name": method,
                "ponder.seed": data.get("seed") if event.kind == "run" else None,
            }
        context = self._api.set_span_in_context(parent)
        span: Span = self._tracer.start_span(
            name, context=context, kind=kind, start_time=at, attributes=_clean(attributes)
        )
        return span

    def _end(self, event: Event, span: Span, at: int) -> None:
        data = event.data
        if event.kind == "call":
            finish = data.get("finish")
            span.set_attributes(_clean({"gen_ai.response.finish_reasons": None if finish is None else [str(finish)]}))
            span.set_attributes(_usage(data.get("paid") or data.get("usage") or {}))
            span.set_attributes(
                _clean({"ponder.stored": data.get("stored"), "ponder.stopped": data.get("interrupted")})
            )
            if data.get("error"):
                span.set_attribute("error.type", "provider_error")  # the message may quote the prompt
                span.set_status(self._api.Status(self._api.StatusCode.ERROR))
        elif event.kind == "run":
            span.set_attributes(_clean({"ponder.stopped": data.get("stopped"), "ponder.chosen": data.get("chosen")}))
            paid = data.get("paid") or {}
            sums = {name: sum(role.get(name) or 0 for role in paid.values()) for name in _COUNTS}
            span.set_attributes(_usage(sums))
        span.end(at)


_COUNTS = {
    "prompt_tokens": "gen_ai.usage.input_tokens",
    "completion_tokens": "gen_ai.usage.output_tokens",
    "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "thinking_tokens": "gen_ai.usage.reasoning.output_tokens",
    "calls": "ponder.usage.calls",
    "usd": "ponder.usage.usd",
}


def _usage(counts: Mapping[str, Any]) -> dict[str, Any]:
    """Return token counts under the names of the conventions."""
    return _clean({spelled: counts.get(name) for name, spelled in _COUNTS.items()})


def _score(data: Mapping[str, Any]) -> dict[str, Any]:
    score = data.get("score") or {}
    value = score.get("value") if isinstance(score, Mapping) else None
    number = value if isinstance(value, int | float) and math.isfinite(value) else None  # missing stays missing
    return _clean(
        {
            "gen_ai.evaluation.name": data.get("verifier"),
            "gen_ai.evaluation.score.value": number,
            "ponder.index": data.get("index"),
        }
    )


def _clean(attributes: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Leave out what is not known: an attribute cannot be None."""
    return {name: value for name, value in dict(attributes).items() if value is not None}
