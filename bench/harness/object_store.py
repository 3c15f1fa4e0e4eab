"""The object store through its API: small objects, large ones, lists."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from hashlib import md5
from http.client import HTTPConnection
from pathlib import Path

from harness.cloud import Cloud
from harness.measure import cpu_ms
from harness.nginx import nginx
from harness.table import Row

CLIENTS = 16
SMALL = "x" * 4096
SMALL_REQUESTS = 8000
MIB = 1 << 20
LARGE_MIB = 256
GB = 1e9


def object_store(cloud: Cloud, bare: float) -> list[Row]:
    base = f"/v1/AUTH_{cloud.project_id}/bench"
    cloud.request("PUT", base, expect=201)
    with tempfile.TemporaryDirectory(prefix="pileus-bench-objects-", dir="/var/tmp") as folder:
        return [*small(cloud, base, Path(folder)), *large(cloud, base, Path(folder))]


def small(cloud: Cloud, base: str, folder: Path) -> list[Row]:
    (folder / "small").write_text(SMALL)
    kind = {"connections": CLIENTS, "requests": SMALL_REQUESTS}
    headers = cloud.headers(**{"Content-Type": "application/octet-stream"})
    path = f"{base}/object-{{n}}"
    put = cpu_ms(cloud.process, cloud.port, path, headers, method="PUT", body=SMALL, status=201, **kind)
    get = cpu_ms(cloud.process, cloud.port, path, cloud.headers(), **kind)
    rows = [Row("PUT 4 KiB, durable, CPU per request", put, "ms", 0.22)]
    with nginx(folder) as web:
        beside = cpu_ms(*web, "/small", {}, **kind) if web is not None else None
    rows.append(Row("GET 4 KiB, CPU per request", get, "ms", 0.12, baseline=beside))
    return rows


def large(cloud: Cloud, base: str, folder: Path) -> list[Row]:
    source = folder / "large"
    block = os.urandom(MIB)
    source.write_bytes(block * LARGE_MIB)
    seconds, spent = _timed(cloud, "PUT", f"{base}/large", block)
    down, spent_down = min(_timed(cloud, "GET", f"{base}/large") for _ in range(3))
    gigabytes = LARGE_MIB * MIB / GB
    hashed, hashing = _md5_seconds(block)
    rows = [
        Row("256 MiB up, of one core's md5 rate", hashed / seconds * 100, "%", 75, True),
        Row("256 MiB up, CPU a GB above md5's", (spent - hashing) / gigabytes, "s", 0.7),
    ]
    with nginx(folder) as web:
        if web is None:
            return [*rows, Row("256 MiB down, CPU a GB", spent_down / gigabytes, "s")]
        server, port = web
        before = server.cpu_seconds
        best = min(_seconds(port, "GET", "/large", {}) for _ in range(3))
        beside = (server.cpu_seconds - before) / 3
    return [
        *rows,
        Row("256 MiB down, of nginx's rate", best / down * 100, "%", 60, True),
        Row("256 MiB down, CPU a GB", spent_down / gigabytes, "s", baseline=beside / gigabytes),
    ]


def _md5_seconds(block: bytes) -> tuple[float, float]:
    """What one core takes for the hash, and its CPU seconds."""
    digest = md5(usedforsecurity=False)
    began, cpu = time.perf_counter(), time.process_time()
    for _ in range(LARGE_MIB):
        digest.update(block)
    return time.perf_counter() - began, time.process_time() - cpu


def _timed(cloud: Cloud, method: str, path: str, block: bytes = b"") -> tuple[float, float]:
    """Seconds, and seconds of the server's CPU."""
    before = cloud.process.cpu_seconds
    seconds = _seconds(cloud.port, method, path, cloud.headers(), block)
    return seconds, cloud.process.cpu_seconds - before


def _seconds(port: int, method: str, path: str, headers: dict[str, str], block: bytes = b"") -> float:
    connection = HTTPConnection("127.0.0.1", port, timeout=300, blocksize=MIB)
    if block:
        headers = {**headers, "Content-Length": str(len(block) * LARGE_MIB)}
    began = time.perf_counter()
    connection.request(method, path, _blocks(block) if block else None, headers)
    response = connection.getresponse()
    assert response.status in (200, 201), response.status
    buffer, size = bytearray(MIB), 0
    while read := response.readinto(buffer):
        size += read
    assert block or size == LARGE_MIB * MIB, size
    return time.perf_counter() - began


def _blocks(block: bytes) -> Iterator[bytes]:
    for _ in range(LARGE_MIB):
        yield block
