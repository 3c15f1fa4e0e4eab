"""Every measurement of the control plane, each a function of a cloud that gives rows of the table."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from harness.cloud import ROOT, Cloud, Process, free_port, raised
from harness.images import OCTETS, image
from harness.measure import cpu_ms, finished, load
from harness.table import Row

HARNESS = Path(__file__).parent
BOOT_SECONDS = 120.0
REST_SECONDS = 6


@contextmanager
def bare_server() -> Iterator[tuple[Process, int]]:
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(
        [sys.executable, str(HARNESS / "bare.py"), str(port)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield Process(process.pid), port
    finally:
        process.terminate()
        process.wait()


def floor() -> float:
    """CPU milliseconds a request of a bare application on the same server."""
    with bare_server() as (server, port):
        return cpu_ms(server, port, "/", {}, 10_000)


def tokens(cloud: Cloud, bare: float) -> list[Row]:
    headers = cloud.headers(**{"X-Subject-Token": cloud.token})
    spent = cpu_ms(cloud.process, cloud.port, "/identity/v3/auth/tokens", headers, 5000)
    rows = [Row("token validation, CPU per request", spent, "ms", 0.12, baseline=bare)]
    own = {"methods": ["token"], "token": {"id": cloud.token}}
    rows.append(
        Row("a token by a token, CPU per request", _login_ms(cloud, own, 2000), "ms", 0.8, baseline=bare)
    )
    hashing = _bare_login_ms()
    for words, spent in _logins(cloud, 60):
        rows.append(Row(f"{words}, CPU per request", spent, "ms", baseline=hashing))
    # A server that waits for a hash sleeps, and wakes with cold caches: whatever a request is, it costs 2 ms where it
    # comes once in 30 ms. What a login costs above its hash is therefore seen where the hash costs next to nothing.
    with raised({"PILEUS_IDENTITY__PASSWORD_HASH_COST": "1"}) as (unhashed, _):
        for words, spent in _logins(unhashed, 1000):
            rows.append(Row(f"{words}, above its hash", spent, "ms", 1.5))
    return rows


def _logins(cloud: Cloud, count: int) -> Iterator[tuple[str, float]]:
    """Milliseconds of CPU for a token by either secret."""
    user = {"name": "admin", "domain": {"id": "default"}, "password": cloud.password}
    by_password = {"methods": ["password"], "password": {"user": user}}
    yield "a token by a password", _login_ms(cloud, by_password, count)
    secret = cloud.application_credential()
    by_secret = {"methods": ["application_credential"], "application_credential": secret}
    yield "a token by an application credential", _login_ms(cloud, by_secret, count)


def _login_ms(cloud: Cloud, identity: dict[str, Any], count: int) -> float:
    auth: dict[str, Any] = {"identity": identity}
    if "application_credential" not in identity:
        auth["scope"] = {"project": {"id": cloud.project_id}}
    more = {"method": "POST", "body": json.dumps({"auth": auth}), "status": 201}
    headers = {"Content-Type": "application/json"}
    return cpu_ms(cloud.process, cloud.port, "/identity/v3/auth/tokens", headers, count, **more)


def _bare_login_ms() -> float:
    """The same of the bare server that makes a hash and answers."""
    with bare_server() as (server, port):
        return cpu_ms(server, port, "/hash", {}, 60)


def projects(cloud: Cloud, bare: float) -> list[Row]:
    for number in range(1000):
        body = {"project": {"name": f"bench-{number}", "description": "one of a thousand"}}
        cloud.request("POST", "/identity/v3/projects", body, expect=201)
    spent = cpu_ms(cloud.process, cloud.port, "/identity/v3/projects?limit=1000", cloud.headers(), 100)
    return [Row("GET /projects with 1,000, CPU", spent, "ms", 15)]


# Servers


def servers(cloud: Cloud, bare: float) -> list[Row]:
    make = _server_maker(cloud)
    began, labels = time.perf_counter(), _labels_run(cloud)
    first = [make(number) for number in range(100)]
    _until_active(cloud, 100)
    took = time.perf_counter() - began
    labels = _labels_run(cloud) - labels
    rows = [
        Row("100 servers, from the first POST to all ACTIVE", took, "s", 1.5),
        Row("labels a second while they boot", labels / took, "/s"),
    ]
    for number in range(100, 1000):
        make(number)
    _until_active(cloud, 1000)
    _settled(cloud)
    one = f"/compute/v2.1/servers/{first[0]}"
    detail = "/compute/v2.1/servers/detail?limit=1000"
    headers = cloud.headers()
    rows += [
        Row(
            "GET /servers/{id}, CPU per request",
            cpu_ms(cloud.process, cloud.port, one, headers, 3000),
            "ms",
            0.3,
            baseline=bare,
        ),
        Row(
            "GET /servers/detail with 1,000, CPU",
            cpu_ms(cloud.process, cloud.port, detail, headers, 60),
            "ms",
            35,
        ),
    ]
    listers = [load(cloud.port, detail, headers, connections=2, seconds=6.0)]
    small = finished(load(cloud.port, one, headers, connections=1, seconds=5.0, pause_ms=5))
    for lister in listers:
        finished(lister)
    p99 = statistics.quantiles(small["ms"], n=100)[98]
    return [*rows, Row("99th percentile of a small GET beside lists of 1,000", p99, "ms", 20)]


def _server_maker(cloud: Cloud) -> Any:
    """A function that boots the server of a number, over one kept connection, and gives its id."""
    limits = {"instances": -1, "cores": -1, "ram": -1}
    cloud.request("PUT", f"/compute/v2.1/os-quota-sets/{cloud.project_id}", {"quota_set": limits}, expect=200)
    quota = {"quota": {"port": -1}}
    cloud.request("PUT", f"/networking/v2.0/quotas/{cloud.project_id}", quota, expect=200)
    flavor = {"flavor": {"name": "bench", "ram": 1, "vcpus": 1, "disk": 0}}
    flavor_id = cloud.request("POST", "/compute/v2.1/flavors", flavor, expect=200).json()["flavor"]["id"]
    image_id = image(cloud)
    upload = HTTPConnection("127.0.0.1", cloud.port, timeout=60)
    upload.request("PUT", f"/image/v2/images/{image_id}/file", b"\0" * 65536, cloud.headers(**OCTETS))
    assert upload.getresponse().status == 204
    network = cloud.request("POST", "/networking/v2.0/networks", {"network": {"name": "bench"}}, expect=201)
    network_id = network.json()["network"]["id"]
    subnet = {"network_id": network_id, "ip_version": 4, "cidr": "10.0.0.0/16"}
    cloud.request("POST", "/networking/v2.0/subnets", {"subnet": subnet}, expect=201)
    wanted = {"flavorRef": flavor_id, "imageRef": image_id, "networks": [{"uuid": network_id}]}
    connection = HTTPConnection("127.0.0.1", cloud.port, timeout=60)

    def make(number: int) -> str:
        body = json.dumps({"server": {**wanted, "name": f"bench-{number}"}})
        connection.request(
            "POST", "/compute/v2.1/servers", body, cloud.headers(**{"Content-Type": "application/json"})
        )
        response = connection.getresponse()
        answer = response.read()
        if response.status != 202:
            raise SystemExit(f"server {number}: {response.status} {answer.decode()}")
        return str(json.loads(answer)["server"]["id"])

    return make


def _until_active(cloud: Cloud, wanted: int) -> None:
    deadline = time.monotonic() + BOOT_SECONDS
    while True:
        waiting = cloud.request("GET", "/compute/v2.1/servers?status=BUILD&limit=1", expect=200).json()[
            "servers"
        ]
        if not waiting:
            break
        if time.monotonic() > deadline:
            raise SystemExit(f"not all of {wanted} servers became ACTIVE in {BOOT_SECONDS:.0f} s")
        time.sleep(0.02)
    broken = cloud.request("GET", "/compute/v2.1/servers?status=ERROR&limit=1", expect=200).json()["servers"]
    if broken:
        raise SystemExit(f"server {broken[0]['id']} is in ERROR")


def _settled(cloud: Cloud) -> None:
    """Waits until the cloud is at rest: it looks again at fresh servers a few seconds after their boot."""
    deadline = time.monotonic() + BOOT_SECONDS
    quiet = 0
    while quiet < REST_SECONDS:
        before = cloud.process.cpu_seconds
        time.sleep(1.0)
        quiet = quiet + 1 if cloud.process.cpu_seconds - before < 0.03 else 0
        if time.monotonic() > deadline:
            raise SystemExit(f"the cloud was not at rest {BOOT_SECONDS:.0f} s after the boot")


def _labels_run(cloud: Cloud) -> float:
    """Labels run since the start, as /metrics tells."""
    text = cloud.request("GET", "/metrics", expect=200).body.decode()
    lines = [line for line in text.splitlines() if line.startswith("pileus_label_seconds_count")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)
