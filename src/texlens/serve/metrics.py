"""Prometheus metrics; each application has a registry of its own."""

from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from texlens.inference.scheduling.job import GenerationJob
    from texlens.inference.scheduling.scheduler import RequestScheduler

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class ServerMetrics:
    """Counters that routes and middleware increase, and gauges computed from the scheduler when scraped."""

    def __init__(self, scheduler: "RequestScheduler"):
        self.registry = CollectorRegistry()
        self.requests = Counter("texlens_requests", "Requests answered", ["path", "status"], registry=self.registry)
        self.seconds = Histogram(
            "texlens_request_seconds", "Time to answer", ["path"], buckets=_SECONDS, registry=self.registry
        )
        self.jobs = Counter("texlens_readings", "Readings, by how they ended", ["outcome"], registry=self.registry)
        self.wait = Histogram("texlens_queue_seconds", "Time in the queue", buckets=_SECONDS, registry=self.registry)
        self.tokens = Counter("texlens_tokens", "Tokens, prompt and generated", ["kind"], registry=self.registry)
        counts = scheduler.counts
        for name, description, value in (
            ("texlens_waiting", "Readings in the queue", lambda: scheduler.waiting),
            ("texlens_running", "Readings in progress", lambda: scheduler.running),
            ("texlens_rows_per_step", "Rows in a mean step", lambda: counts.rows_in_steps / max(1, counts.steps)),
        ):
            Gauge(name, description, registry=self.registry).set_function(value)

    def record_job(self, job: "GenerationJob") -> None:
        outcome = job.outcome or "done"
        self.jobs.labels(job.state.stop if outcome == "done" else outcome).inc()
        self.tokens.labels("prompt").inc(len(job.prompt))
        self.tokens.labels("written").inc(len(job.state.tokens))
        if job.started_at is not None:
            self.wait.observe(job.started_at - job.submitted_at)

    def exposition(self) -> tuple[bytes, str]:
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
