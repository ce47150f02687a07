"""What a server counts, for Prometheus."""

from collections.abc import Iterable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from rot5.serve.models import Answer, Served

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)

CONTENT_TYPE = CONTENT_TYPE_LATEST


class _Lines:
    """How full each model is, read when it is asked for."""

    def __init__(self, served: Sequence[Served]):
        self.served = served

    def collect(self) -> Iterable[Metric]:
        held = GaugeMetricFamily("rot5_answers_open", "Answers that grow or wait.", labels=["model"])
        steps = CounterMetricFamily("rot5_written_tokens", "Tokens written, of all answers.", labels=["model"])
        for each in self.served:
            held.add_metric([each.name], each.worker.open)
            steps.add_metric([each.name], each.worker.written)
        return held, steps


class Metrics:
    """Counters and histograms of one server, in a registry of their own."""

    def __init__(self, served: Sequence[Served]):
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "rot5_requests", "Requests by route and status.", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "rot5_request_seconds", "Time of a request.", ["route"], buckets=SECONDS, registry=self.registry
        )
        self.first = Histogram(
            "rot5_first_token_seconds", "Time to an answer's first token.", ["model"], buckets=SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self.read = Counter("rot5_read_tokens", "Tokens of inputs.", ["model"], registry=self.registry)
        self.answers = Counter(
            "rot5_answers", "Answers by how they ended.", ["model", "finish"], registry=self.registry
        )
        self.registry.register(_Lines(served))  # type: ignore[arg-type]

    def note_answer(self, model: str, answer: Answer) -> None:
        """Count an answer that nothing more will come of."""
        self.answers.labels(model, answer.finish).inc()
        self.read.labels(model).inc(answer.input_tokens)
        if answer.first_token is not None:
            self.first.labels(model).observe(answer.first_token - answer.began)

    def note_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that has ended."""
        self.requests.labels(route, status).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """All of it in Prometheus' format."""
        return generate_latest(self.registry)
