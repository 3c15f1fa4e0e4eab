"""Prometheus metrics that all services share, and their text."""

from __future__ import annotations

from functools import lru_cache

from prometheus_client import REGISTRY, Counter, Histogram, generate_latest

REQUESTS = Counter("pileus_requests_total", "Requests answered", ["operation", "status"])
SECONDS = Histogram(
    "pileus_request_seconds",
    "Time to answer",
    ["operation"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)


@lru_cache(maxsize=8192)
def _request_counter(operation: str, status: int) -> Counter:
    return REQUESTS.labels(operation, str(status))


@lru_cache(maxsize=4096)
def _request_histogram(operation: str) -> Histogram:
    return SECONDS.labels(operation)


def observe_request(operation: str, status: int, seconds: float) -> None:
    """Counts one answer."""
    _request_counter(operation, status).inc()
    _request_histogram(operation).observe(seconds)


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    text: bytes = generate_latest(REGISTRY)
    return text
