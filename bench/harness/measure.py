"""Load from another process, and what it costs the server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness.cloud import Process

HARNESS = Path(__file__).parent


def load(port: int, path: str, headers: dict[str, str], **more: Any) -> subprocess.Popen[str]:
    """A load generator at work; see load.py."""
    order = json.dumps({"port": port, "path": path, "headers": headers, **more})
    return subprocess.Popen(
        [sys.executable, str(HARNESS / "load.py"), order], stdout=subprocess.PIPE, text=True
    )


def finished(generator: subprocess.Popen[str]) -> dict[str, Any]:
    said, _ = generator.communicate()
    if generator.returncode:
        raise SystemExit("a load generator failed")
    result: dict[str, Any] = json.loads(said)
    return result


def cpu_ms(
    server: Process, port: int, path: str, headers: dict[str, str], requests: int, **more: Any
) -> float:
    """Milliseconds of the server's CPU for each of `requests`, after some to warm up."""
    finished(load(port, path, headers, requests=max(20, requests // 10), **more))
    before = server.cpu_seconds
    result = finished(load(port, path, headers, requests=requests, **more))
    return (server.cpu_seconds - before) / len(result["ms"]) * 1000
