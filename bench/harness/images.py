"""Images: bytes up and down, and lists of many."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from harness.cloud import Cloud
from harness.measure import cpu_ms
from harness.nginx import nginx
from harness.table import Row

GIB = 1 << 30
MIB = GIB >> 20
CHUNK = 4 << 20
OCTETS = {"Content-Type": "application/octet-stream"}
MEMORY_STORE = "memory"
"""A store on a file system in memory: what an upload costs where the disk is no hindrance."""
MANY = 10_000
LISTS = (
    ("all", ""),
    ("by status", "&status=queued"),
    ("by tag", "&tag=bench"),
    ("by property", "&os_distro=none"),
    ("by size, largest first", "&sort=size:desc,name:asc"),
)
"""What is asked of lists, and how."""


def images(cloud: Cloud, bare: float) -> list[Row]:
    return [*data(cloud), *lists(cloud)]


def image(cloud: Cloud, **more: object) -> str:
    """The id of a new image."""
    body = {"name": "bench", "disk_format": "raw", "container_format": "bare", **more}
    return str(cloud.request("POST", "/image/v2/images", body, expect=201).json()["id"])


# Bytes


def data(cloud: Cloud) -> list[Row]:
    """A file of a gibibyte up and down; beside it, in the same minute, what hashing and nginx make of it."""
    with tempfile.TemporaryDirectory(prefix="pileus-bench-image-", dir="/var/tmp") as folder:
        source, copy = Path(folder) / "source", Path(folder) / "copy"
        _random_file(source)
        hashed = _timed_hashes(source)
        copied = _timed_copy(source, copy)
        copy.unlink()
        image_id = image(cloud)
        path = f"/image/v2/images/{image_id}/file"
        up = _timed_upload(cloud, path, source)
        fast_id = image(cloud)
        fast = f"/image/v2/images/{fast_id}/file"
        in_memory = _timed_upload(cloud, fast, source, **{"X-Image-Meta-Store": MEMORY_STORE})
        cloud.request("DELETE", f"/image/v2/images/{fast_id}", expect=204)
        down = min(_timed_download(cloud.port, path, cloud.headers()) for _ in range(3))
        rows = [
            Row("1 GiB up, to memory, of one core's md5 and sha512", hashed / in_memory * 100, "%", 60, True),
            Row("1 GiB up, to memory", MIB / in_memory, "MiB/s", more_is_better=True, baseline=MIB / hashed),
            Row("1 GiB up, to the disk, of dd with fsync", copied / up * 100, "%", 50, True),
            Row("1 GiB up, to the disk", MIB / up, "MiB/s", more_is_better=True, baseline=MIB / copied),
        ]
        with nginx(source.parent) as web:
            if web is None:
                print("nginx is not installed: the download is not compared with it")
                rows.append(Row("image download", MIB / down, "MiB/s", more_is_better=True))
            else:
                best = min(_timed_download(web[1], "/source", {}) for _ in range(3))
                rows += [
                    Row("1 GiB down, of nginx's rate", best / down * 100, "%", 90, True),
                    Row("1 GiB down", MIB / down, "MiB/s", more_is_better=True, baseline=MIB / best),
                ]
        cloud.request("DELETE", f"/image/v2/images/{image_id}", expect=204)
    return rows


def _random_file(path: Path) -> None:
    block = os.urandom(CHUNK)
    with path.open("wb") as file:
        for _ in range(GIB // CHUNK):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())


def _timed_hashes(source: Path) -> float:
    """Seconds of one core for both hashes of the file, which is in memory already."""
    md5, sha512 = hashlib.md5(usedforsecurity=False), hashlib.sha512()
    began = time.perf_counter()
    with source.open("rb") as file:
        while chunk := file.read(CHUNK):
            md5.update(chunk)
            sha512.update(chunk)
    return time.perf_counter() - began


def _timed_copy(source: Path, copy: Path) -> float:
    began = time.perf_counter()
    command = ["dd", f"if={source}", f"of={copy}", "bs=4M", "conv=fsync", "status=none"]
    subprocess.run(command, check=True)
    return time.perf_counter() - began


def _timed_upload(cloud: Cloud, path: str, source: Path, **more: str) -> float:
    connection = HTTPConnection("127.0.0.1", cloud.port, timeout=300, blocksize=1 << 20)
    began = time.perf_counter()
    with source.open("rb") as file:
        connection.request("PUT", path, file, cloud.headers(**OCTETS, **more, **{"Content-Length": str(GIB)}))
        status = connection.getresponse().status
    assert status == 204, status
    return time.perf_counter() - began


def _timed_download(port: int, path: str, headers: dict[str, str]) -> float:
    connection = HTTPConnection("127.0.0.1", port, timeout=300)
    began, size = time.perf_counter(), 0
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    assert response.status == 200, response.status
    buffer = bytearray(1 << 20)
    while read := response.readinto(buffer):
        size += read
    assert size == GIB, size
    return time.perf_counter() - began


@contextmanager
def two_stores() -> Iterator[dict[str, str]]:
    """Settings of a cloud with a store in memory beside the one on the disk."""
    with tempfile.TemporaryDirectory(prefix="pileus-bench-store-", dir="/dev/shm") as folder:
        yield {"PILEUS_IMAGE__STORES": f'{{file = {{}}, {MEMORY_STORE} = {{path = "{folder}"}}}}'}


# Lists


def lists(cloud: Cloud) -> list[Row]:
    """A thousand of ten thousand images: the first page, and the last."""
    _fill(cloud)
    rows = []
    for name, query in LISTS:
        first = f"/image/v2/images?limit=1000{query}"
        last = _last_page(cloud, first)
        for page, path in (("first", first), ("last", last)):
            spent = cpu_ms(cloud.process, cloud.port, path, cloud.headers(), 30)
            rows.append(Row(f"1,000 of 10,000 images, {name}, {page} page, CPU", spent, "ms", 25))
    return rows


def _fill(cloud: Cloud) -> None:
    def make(numbers: range) -> None:
        connection = HTTPConnection("127.0.0.1", cloud.port, timeout=60)
        headers = cloud.headers(**{"Content-Type": "application/json"})
        for number in numbers:
            wanted = {"name": f"image-{number % 500}", "tags": ["bench"], "os_distro": "none"}
            connection.request("POST", "/image/v2/images", json.dumps(wanted), headers)
            response = connection.getresponse()
            response.read()
            assert response.status == 201, response.status

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(make, [range(at, at + MANY // 4) for at in range(0, MANY, MANY // 4)]))


def _last_page(cloud: Cloud, path: str) -> str:
    """The last that is full."""
    while True:
        answer = cloud.request("GET", path, expect=200).json()
        following = answer.get("next")
        if following is None:
            return path
        ahead = "/image" + following if following.startswith("/v2") else following
        if len(cloud.request("GET", ahead, expect=200).json()["images"]) < 1000:
            return path
        path = ahead
