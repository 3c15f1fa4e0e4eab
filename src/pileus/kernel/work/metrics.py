"""What the engine tells Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

LABEL_SECONDS = Histogram(
    "pileus_label_seconds",
    "Runs of labels, from start to commit",
    ("program", "label"),
    buckets=(0.001, 0.01, 0.1, 1, 10, 30),
)
LABEL_FAILURES = Counter(
    "pileus_label_failures", "Labels that raised and will run again", ("program", "label")
)
FAULTS = Counter(
    "pileus_faults",
    "Strands that gave up: a deadline passed or a label failed for good",
    ("program", "label"),
)
LEASES_LOST = Counter("pileus_leases_lost", "Results dropped because another process had taken the strand")
STRANDS_HELD = Gauge("pileus_strands_held", "Strands this process has leased")
OLDEST_OVERDUE_SECONDS = Gauge(
    "pileus_oldest_overdue_seconds", "How long the strand that waits longest for an engine is overdue"
)
