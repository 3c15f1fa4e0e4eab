"""Prometheus metrics that all services share, and their text."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable

from prometheus_client import REGISTRY, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Of the time to answer, in seconds."""


class Requests:
    """Answers by operation. Counted here, without prometheus_client's locks, as each request pays for it."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[str, int]] = Counter()
        self._seconds: dict[str, tuple[list[int], list[float]]] = {}
        """By operation: answers within each bound and beyond the last, and all of their seconds."""

    def observe(self, operation: str, status: int, seconds: float) -> None:
        """Counts one answer. Called on the event loop only."""
        self._answers[operation, status] += 1
        found = self._seconds.get(operation)
        if found is None:
            found = self._seconds[operation] = [0] * (len(BOUNDS) + 1), [0.0]
        found[0][bisect_left(BOUNDS, seconds)] += 1
        found[1][0] += seconds

    def collect(self) -> Iterable[Metric]:
        answers = CounterMetricFamily("pileus_requests", "Requests answered", labels=["operation", "status"])
        for (operation, status), count in list(self._answers.items()):
            answers.add_metric([operation, str(status)], count)
        yield answers
        seconds = HistogramMetricFamily("pileus_request_seconds", "Time to answer", labels=["operation"])
        for operation, (counts, total) in list(self._seconds.items()):
            reached, buckets = 0, []
            for bound, count in zip((*map(str, BOUNDS), "+Inf"), counts, strict=True):
                reached += count
                buckets.append((bound, reached))
            seconds.add_metric([operation], buckets, total[0])
        yield seconds


REQUESTS = Requests()
REGISTRY.register(REQUESTS)
observe_request = REQUESTS.observe


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    text: bytes = generate_latest(REGISTRY)
    return text
