"""The object store through its API: small objects, large ones, lists."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from hashlib import md5
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

from harness.cloud import Cloud, Process
from harness.measure import cpu_ms
from harness.nginx import nginx
from harness.table import Row

CLIENTS = 16
SMALL = "x" * 4096
SMALL_REQUESTS = 4000
ROUNDS = 5
MIB = 1 << 20
LARGE_MIB = 256
DOWNLOADS = 11
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
    ours, others = [], []
    with nginx(folder) as web:
        for _ in range(ROUNDS):
            ours.append(cpu_ms(cloud.process, cloud.port, path, cloud.headers(), **kind))
            if web is not None:
                others.append(cpu_ms(*web, "/small", {}, **kind))
    get, beside = median(ours), median(others) if others else None
    return [
        Row("PUT 4 KiB, durable, CPU per request", put, "ms", 0.22),
        Row("GET 4 KiB, CPU per request", get, "ms", 0.12, baseline=beside),
    ]


def large(cloud: Cloud, base: str, folder: Path) -> list[Row]:
    source = folder / "large"
    block = os.urandom(MIB)
    source.write_bytes(block * LARGE_MIB)
    seconds, spent = _timed(cloud.process, cloud.port, "PUT", f"{base}/large", cloud.headers(), block)
    gigabytes = LARGE_MIB * MIB / GB
    hashed, hashing = _md5_seconds(block)
    rows = [
        Row("256 MiB up, of one core's md5 rate", hashed / seconds * 100, "%", 75, True),
        Row("256 MiB up, CPU a GB above md5's", (spent - hashing) / gigabytes, "s", 0.7),
    ]
    ours, others = [], []
    with nginx(folder) as web:
        for _ in range(1 + DOWNLOADS):
            ours.append(_timed(cloud.process, cloud.port, "GET", f"{base}/large", cloud.headers()))
            if web is not None:
                others.append(_timed(*web, "GET", "/large", {}))
    # The first is from the disk, where nginx's file was just written.
    down, spent_down = _middle(ours[1:])
    if not others:
        return [*rows, Row("256 MiB down, CPU a GB", spent_down / gigabytes, "s")]
    beside, spent_beside = _middle(others[1:])
    return [
        *rows,
        Row("256 MiB down, of nginx's rate", beside / down * 100, "%", 60, True),
        Row("256 MiB down, CPU a GB", spent_down / gigabytes, "s", baseline=spent_beside / gigabytes),
    ]


def _middle(timed: list[tuple[float, float]]) -> tuple[float, float]:
    """Of the seconds, and of the CPU seconds: the quickest is often a lucky one, nginx's as well."""
    return median(seconds for seconds, _ in timed), median(spent for _, spent in timed)


def _md5_seconds(block: bytes) -> tuple[float, float]:
    """What one core takes for the hash, and its CPU seconds."""
    digest = md5(usedforsecurity=False)
    began, cpu = time.perf_counter(), time.process_time()
    for _ in range(LARGE_MIB):
        digest.update(block)
    return time.perf_counter() - began, time.process_time() - cpu


def _timed(
    server: Process, port: int, method: str, path: str, headers: dict[str, str], block: bytes = b""
) -> tuple[float, float]:
    """Seconds, and seconds of the server's CPU."""
    before = server.cpu_seconds
    seconds = _seconds(port, method, path, headers, block)
    return seconds, server.cpu_seconds - before


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
