"""Metrics for Prometheus; each application has a registry of its own."""

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from texlens.inference.batching import Engine
from texlens.inference.job import Job

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Meters:
    """Counters that the routes raise, gauges that look at the engine when asked."""

    def __init__(self, engine: Engine):
        self.registry = CollectorRegistry()
        self.requests = Counter("texlens_requests", "Requests answered", ["path", "status"], registry=self.registry)
        self.seconds = Histogram(
            "texlens_request_seconds", "Time to answer", ["path"], buckets=_SECONDS, registry=self.registry
        )
        self.jobs = Counter("texlens_readings", "Texts made, by how they ended", ["outcome"], registry=self.registry)
        self.wait = Histogram("texlens_queue_seconds", "Time in the queue", buckets=_SECONDS, registry=self.registry)
        self.tokens = Counter("texlens_tokens", "Tokens, read and written", ["kind"], registry=self.registry)
        counts = engine.counts
        for name, says, look in (
            ("texlens_waiting", "Readings in the queue", lambda: engine.waiting),
            ("texlens_running", "Readings under way", lambda: engine.running),
            ("texlens_rows_per_step", "Rows in an average step", lambda: counts.rows_in_steps / max(1, counts.steps)),
        ):
            Gauge(name, says, registry=self.registry).set_function(look)

    def job(self, job: Job) -> None:
        ended = job.outcome or "done"
        self.jobs.labels(job.row.stop if ended == "done" else ended).inc()
        self.tokens.labels("prompt").inc(len(job.prompt))
        self.tokens.labels("written").inc(len(job.row.tokens))
        if job.began_at is not None:
            self.wait.observe(job.began_at - job.asked_at)

    def exposed(self) -> tuple[bytes, str]:
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
