"""Count the events of this process. Every label has few values, whatever callers send."""

from __future__ import annotations

import itertools
from collections.abc import Collection

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from app.billing.ledger.records import Settlement
from app.observability.metrics.attempts import name_outcome
from app.openai_service import CallRecord

OTHER = "other"
"""The value of a label for all values beyond its bound."""

MAX_TENANTS = 50
"""The number of tenants with separate series: those that called first."""

_METHODS = {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"}
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120)
_TOKENS = {
    "prompt": "prompt_tokens",
    "completion": "completion_tokens",
    "cached": "cached_tokens",
    "cache_write": "cache_write_tokens",
    "reasoning": "reasoning_tokens",
}
_LIMITS = {
    (429, "rate_limited"): "rate",
    (429, "budget_exceeded"): "budget",
    (429, "concurrency_limit"): "concurrency",
    (503, "concurrency_limit"): "server_busy",
}


class Counters:
    """The counters, histograms and gauges of one process.

    prometheus-client takes ten calls to look up a series by its labels, so the series in use are cached.
    """

    def __init__(self, registry: CollectorRegistry, models: Collection[str]) -> None:
        """Register all metrics.

        Args:
            registry: the registry of this application.
            models: the models that the site offers; all others count as `other`.
        """
        self._models = frozenset(models)
        self._tenants: set[str] = set()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"gatehouse_{name}", text, labels, registry=registry)

        def seconds(name: str, text: str, *labels: str) -> Histogram:
            return Histogram(f"gatehouse_{name}_seconds", text, labels, buckets=_SECONDS, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"gatehouse_{name}", text, labels, registry=registry, multiprocess_mode="livesum")

        self._requests = counter("requests", "HTTP requests answered", "route", "method", "status", "code")
        self._request_seconds = seconds("request_duration", "Until an answer, or its stream, begins", "route")
        self._limits_refused = counter("limits_refused", "Requests that a limit refused", "kind")
        self._call_seconds = seconds("call_duration", "From begin to end of a call", "operation", "outcome")
        self._first_token_seconds = seconds("first_token", "Until the first token of a stream", "operation")
        self._upstream_seconds = seconds("upstream", "Waiting for the upstream in a call", "operation")
        self._attempts = counter("attempts", "Requests sent to a model", "model", "outcome")
        self._tokens = counter("tokens", "Tokens charged", "model", "tenant", "kind")
        self._cost = counter("cost_dollars", "Money charged", "model", "tenant")
        self._unpriced = counter("unpriced_calls", "Calls whose price is unknown", "model")
        self._cached_answers = counter("cached_answers", "Calls answered from the cache", "operation")
        self.disconnects = counter("disconnects", "Calls whose client disconnected before the end")
        self.swept_holds = counter("swept_holds", "Holds of killed workers that were settled")
        self.streams_running = gauge("streams_running", "Streams running now")
        self.workers = gauge("workers", "Workers running now")
        self.retry_budget_used = gauge("retry_budget_used", "Retries in the last ten seconds")
        self.retry_budget_limit = gauge("retry_budget_limit", "Retries allowed in ten seconds")
        self.pending_settlements = gauge("pending_settlements", "Settlements that are not in the database yet")
        self.side_process_jobs = gauge("side_process_jobs", "Images and files being read", "pool", "state")

        self._of_request: dict[tuple[str, str, int, str], tuple[Counter, Histogram]] = {}
        self._of_call: dict[tuple[str, str], tuple[Histogram, Histogram, Histogram]] = {}
        # These exist from the first scrape on: if a series began at 1, Prometheus would see no increase.
        self._of_attempt = {
            key: self._attempts.labels(*key)
            for key in itertools.product(sorted(self._models), ("key_refused", "quota_exceeded"))
        }
        self._of_charge: dict[tuple[str, str], tuple[Counter, dict[str, Counter]]] = {}

    def note_request(self, route: str, method: str, status: int, code: str, seconds: float) -> None:
        """Count a request that is answered, or whose stream begins.

        Args:
            route: the template of the route, not the path.
            method: the method as sent.
            status: the status of the response.
            code: the code of the error, or empty.
            seconds: the time since the request arrived.
        """
        key = (route, method, status, code)
        series = self._of_request.get(key)
        if series is None:
            known = method if method in _METHODS else OTHER
            series = self._requests.labels(route, known, status, code), self._request_seconds.labels(route)
            if known != OTHER:
                self._of_request[key] = series
        counter, duration = series
        counter.inc()
        duration.observe(seconds)
        if code and (limit := _LIMITS.get((status, code))):
            self._limits_refused.labels(limit).inc()

    def note_call(self, record: CallRecord, settlement: Settlement | None) -> None:
        """Count a call that has ended, and its settlement; None means that nothing was held for it."""
        key = (record.operation, record.outcome)
        series = self._of_call.get(key)
        if series is None:
            operation = record.operation
            series = self._of_call[key] = (
                self._call_seconds.labels(*key),
                self._upstream_seconds.labels(operation),
                self._first_token_seconds.labels(operation),
            )
        duration, upstream, first_token = series
        duration.observe(record.total_ms / 1000)
        if record.attempts:
            upstream.observe(record.upstream_ms / 1000)
        if record.first_token_ms is not None:
            first_token.observe(record.first_token_ms / 1000)
        if record.outcome == "client_gone":
            self.disconnects.inc()
        if record.is_cached:
            self._cached_answers.labels(record.operation).inc()
        self._note_attempts(record)
        if settlement is not None and record.attempt_log:
            self.note_charge(record.attempt_log[-1].model, record.caller.tenant, settlement)

    def _note_attempts(self, record: CallRecord) -> None:
        for attempt in record.attempt_log:
            outcome = name_outcome(attempt)
            if outcome is None:
                continue
            key = (self._name_model(attempt.model), outcome)
            counter = self._of_attempt.get(key)
            if counter is None:
                counter = self._of_attempt[key] = self._attempts.labels(*key)
            counter.inc()

    def note_charge(self, model: str, tenant: str, settlement: Settlement) -> None:
        """Count the tokens and the cost of a settlement."""
        key = (self._name_model(model), self._name_tenant(tenant))
        series = self._of_charge.get(key)
        if series is None:
            by_kind = {name: self._tokens.labels(*key, kind) for kind, name in _TOKENS.items()}
            series = self._of_charge[key] = self._cost.labels(*key), by_kind
        cost, by_kind = series
        for name, counter in by_kind.items():
            if tokens := getattr(settlement, name):
                counter.inc(tokens)
        if settlement.cost_micro_usd is None:
            self._unpriced.labels(key[0]).inc()
        elif settlement.cost_micro_usd:
            cost.inc(settlement.cost_micro_usd / 1_000_000)

    def note_jobs(self, pool: str, running: int, waiting: int) -> None:
        """Set the numbers of running and waiting jobs of a pool of side processes."""
        self.side_process_jobs.labels(pool, "running").set(running)
        self.side_process_jobs.labels(pool, "waiting").set(waiting)

    def _name_model(self, model: str) -> str:
        return model if model in self._models else OTHER

    def _name_tenant(self, tenant: str) -> str:
        if tenant in self._tenants:
            return tenant
        if len(self._tenants) >= MAX_TENANTS:
            return OTHER
        self._tenants.add(tenant)
        return tenant
