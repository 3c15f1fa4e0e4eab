"""How the Python interpreter is set for a process that serves, measured by `bench/run`.

A list of a thousand makes tens of thousands of objects, and with the defaults each such list has the collector look at
everything that was ever imported: a tenth of a second in which nobody is answered. And a thread that computes lets
others wait five milliseconds each time they want to go on, several times in a request.
"""

from __future__ import annotations

import gc
import resource
import sys
from collections.abc import Coroutine
from typing import Any

SWITCH_SECONDS = 0.001
THRESHOLDS = (20_000, 20, 20)
OPEN_FILES = 65_536
"""Connections and files at one time, where the host lets us: a shell's 1,024 are for programs with few of either."""


def load() -> None:
    """Before the modules are imported: nothing of them is garbage, so looking for some is in vain."""
    gc.disable()
    # structlog takes rich along where it is installed: a tenth of a second, for tracebacks in colour.
    if "structlog" not in sys.modules:
        sys.modules["rich"] = None  # type: ignore[assignment]  # what importlib takes for "not installed"
        import structlog  # noqa: F401

        del sys.modules["rich"]


def serve() -> None:
    """When all is loaded: what there is now stays, and is looked at no more."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    gc.enable()
    sys.setswitchinterval(SWITCH_SECONDS)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs what serves to its end, on libuv's event loop: a small request costs an eighth less than on asyncio's own."""
    import uvloop

    uvloop.run(main)
