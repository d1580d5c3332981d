"""Numbers for Prometheus: what came in, what it cost, how long it took, what went wrong.

Source: our own. Each gateway has its own registry, so several in one process do not mix. Labels are names from the
settings and the catalogue; a name that a client made up is counted as "other", so that clients cannot fill the memory.
Needs: prometheus_client (`pip install 'ponder[gateway]'`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from ponder.core.registry import need
from ponder.core.usage import Usage

__all__ = ["OTHER", "Metrics"]

OTHER = "other"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class Metrics:
    """The counters of one gateway.

    Args:
        keys, methods, models: names that may become labels; others are counted as "other". None allows every name.

    Raises:
        MissingExtra: prometheus_client is not installed.
    """

    def __init__(
        self,
        *,
        keys: Collection[str] | None = None,
        methods: Collection[str] | None = None,
        models: Collection[str] | None = None,
    ) -> None:
        library = need("prometheus_client", extra="gateway", feature="the gateway's metrics")
        self._library = library
        self.registry = library.CollectorRegistry()
        self._known = {"key": keys, "method": methods, "model": models}
        where = ("key", "method", "model")

        def counter(name: str, text: str, labels: tuple[str, ...]) -> Any:
            return library.Counter(name, text, labels, registry=self.registry)

        self._requests = counter("ponder_requests", "Requests answered.", (*where, "status"))
        self._seconds = library.Histogram(
            "ponder_request_seconds",
            "Seconds from a request to the last byte of its answer.",
            ("method", "model"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._calls = counter("ponder_calls", "Calls to models, hidden ones included.", ("model", "role"))
        self._tokens = counter("ponder_tokens", "Tokens paid, by role and kind.", (*where, "role", "kind"))
        self._usd = counter("ponder_cost_usd", "US dollars paid, where the price is known.", where)
        self._refused = counter("ponder_refused", "Requests turned away before anything was spent.", ("reason",))
        self._children: dict[tuple[Any, tuple[str, ...]], Any] = {}
        self._failed = counter("ponder_upstream_failures", "Failed calls to an upstream.", ("upstream",))
        self._lost = library.Gauge("ponder_traces_lost", "Traces that were not kept.", registry=self.registry)
        self._running = library.Gauge("ponder_running", "Requests in progress.", registry=self.registry)
        self._waiting = library.Gauge("ponder_waiting", "Requests waiting for a place.", registry=self.registry)

    def follow(
        self, *, running: Callable[[], float], waiting: Callable[[], float], lost: Callable[[], float] | None = None
    ) -> None:
        """Read these numbers from their owners whenever metrics are asked for."""
        self._running.set_function(running)
        self._waiting.set_function(waiting)
        if lost is not None:
            self._lost.set_function(lost)

    def request(
        self, *, key: str, method: str, model: str, status: int, seconds: float, paid: Mapping[str, Usage]
    ) -> None:
        """Count a request that has ended; `paid` by role."""
        where = (self._label("key", key), self._label("method", method), self._label("model", model))
        self._of(self._requests, *where, str(status)).inc()
        self._of(self._seconds, *where[1:]).observe(seconds)
        for role, usage in paid.items():
            self._of(self._calls, where[2], role).inc(usage.calls)
            for kind, count in (
                ("prompt", usage.prompt_tokens - usage.cached_tokens),
                ("cached", usage.cached_tokens),
                ("thinking", usage.thinking_tokens),
                ("completion", usage.completion_tokens - usage.thinking_tokens),
            ):
                if count > 0:
                    self._of(self._tokens, *where, role, kind).inc(count)
            if usage.usd:
                self._of(self._usd, *where).inc(usage.usd)

    def refused(self, reason: str) -> None:
        """Count a refusal: "key", "budget", "rate", "overloaded", "size", ...: a word of ours, not of a client."""
        self._refused.labels(reason=reason).inc()

    def upstream_failed(self, upstream: str) -> None:
        """Count a failed call to an upstream, by its name in the settings."""
        self._failed.labels(upstream=upstream).inc()

    def render(self) -> tuple[bytes, str]:
        """Return the text for `/metrics` and its content type."""
        return self._library.generate_latest(self.registry), self._library.CONTENT_TYPE_LATEST

    def _of(self, metric: Any, *labels: str) -> Any:
        """Return a metric's child, looked up once: the library checks its labels anew each time."""
        found = self._children.get((metric, labels))
        if found is None:
            found = self._children[metric, labels] = metric.labels(*labels)
        return found

    def _label(self, name: str, value: str) -> str:
        known = self._known[name]
        return value if known is None or value in known else OTHER
