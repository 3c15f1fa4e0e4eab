"""What work costs, to be compared with what other work costs in the same run.

A test that knew how many seconds something may take would fail on a slow machine, or a busy one; that twice as much takes
about twice as long is so everywhere. How long things really take, `bench/` measures.
"""

from __future__ import annotations

import time
from collections.abc import Callable


def least_seconds(work: Callable[[], object], times: int = 5) -> float:
    """Of this process's processors, in the quickest of so many runs."""
    best = float("inf")
    for _ in range(times):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best
