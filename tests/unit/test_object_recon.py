"""`/recon`: what Swift's servers would say, in the same words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pileus.drivers.object.node.http import StatusPages
from pileus.kernel.clock import SystemClock
from pileus.services.object_store.daemons import Daemons, Walk
from pileus.services.object_store.recon import SWIFT_VERSION, Recon
from tests.object_store_client import running


class Replicator:
    every_seconds, per_second = 1.0, float("inf")

    def __init__(self, name: str, counts: dict[str, int]) -> None:
        self.name, self._counts = name, counts

    async def walk(self, walk: Walk) -> None:
        walk.count(**self._counts)


@pytest.fixture
def daemons() -> Daemons:
    daemons = Daemons(SystemClock())
    daemons.add(Replicator("object-replicator", {"success": 3}))
    daemons.add(Replicator("object-replicator-1", {"success": 4, "failure": 1}))
    daemons.add(Replicator("object-auditor", {"quarantined": 2, "bytes": 10}))
    return daemons


@pytest.fixture
def recon(daemons: Daemons, tmp_path: Path) -> Recon:
    for name in ("sdb1", "sdb2", ".node"):
        (tmp_path / name).mkdir()
    ring = tmp_path / "object.ring.gz"
    (tmp_path / "swift.conf").write_text("[swift-hash]\n")
    return Recon(daemons, devices=tmp_path, rings=lambda: {ring: "0" * 32})


def test_of_the_system_and_its_disks(recon: Recon, tmp_path: Path) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", recon.answer("version")["version"])
    assert set(recon.answer("load")) == {"1m", "5m", "15m", "tasks", "processes"}
    assert recon.answer("mem")["MemTotal"].endswith(" kB")
    assert {"tcp_in_use", "orphan", "time_wait", "tcp_mem_allocated_bytes"} <= set(recon.answer("sockstat"))
    assert {"device", "path"} == set(recon.answer("mounted")[0])
    assert recon.answer("devices") == {str(tmp_path): ["sdb1", "sdb2"]}
    assert recon.answer("unmounted") == [{"device": name, "mounted": False} for name in ("sdb1", "sdb2")]
    usage = recon.answer("diskusage")
    assert [each["device"] for each in usage] == ["sdb1", "sdb2"]
    assert all(each["size"] == each["used"] + each["avail"] > 0 for each in usage)
    assert recon.answer("ringmd5") == {str(tmp_path / "object.ring.gz"): "0" * 32}
    assert list(recon.answer("swiftconfmd5")) == [str(tmp_path / "swift.conf")]
    assert recon.answer("time") > 1e9


async def test_of_walks_once_they_have_ended(recon: Recon, daemons: Daemons) -> None:
    nothing: dict[str, Any] = recon.answer("replication", "object")
    assert set(nothing) == {
        "replication_time", "replication_stats", "replication_last", "object_replication_time", "object_replication_last"
    }  # fmt: skip
    await daemons.run_once("object-replicator")
    assert recon.answer("replication") == nothing == dict.fromkeys(nothing), (
        "one of the two has not ended yet"
    )
    await daemons.run_once("object-replicator-1")
    said = recon.answer("replication", "object")
    assert said["replication_stats"] == {"success": 7, "failure": 1}
    assert said["object_replication_last"] == said["replication_last"] > 1e9
    await daemons.run_once("object-auditor")
    assert recon.answer("auditor", "object")["object_auditor_stats_ALL"]["quarantined"] == 2
    assert recon.answer("quarantined") == {
        "accounts": 0, "containers": 0, "objects": 2, "policies": {"0": {"objects": 2}}
    }  # fmt: skip


@pytest.mark.parametrize(
    "path",
    ["async", "driveaudit", "sharding", "relinker", "replication/account", "replication/container", "auditor/account",
     "auditor/container", "updater/container", "updater/object", "expirer/object", "reconstruction/object"],
)  # fmt: skip
def test_what_no_walk_has_told_is_null(recon: Recon, path: str) -> None:
    said = recon.answer(*path.split("/"))
    assert said
    assert not any(said.values())


async def pages(recon: Recon, path: str, method: str = "GET") -> tuple[int, bytes]:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    await StatusPages(recon)({"type": "http", "method": method, "path": path}, receive, send)
    return sent[0]["status"], sent[1]["body"]


async def test_a_node_says_it_over_http(recon: Recon) -> None:
    assert await pages(recon, "/healthcheck") == (200, b"OK")
    assert (await pages(recon, "/recon/version"))[1].startswith(b'{"version":"')
    assert b"pileus_" in (await pages(recon, "/metrics"))[1]
    for path in (
        "/",
        "/recon",
        "/recon/nothing",
        "/recon/auditor",
        "/recon/updater/account",
        "/recon/load/x",
        "/recon/a/b/c",
    ):
        assert (await pages(recon, path))[0] == 404
    assert (await pages(recon, "/recon/version", "POST"))[0] == 405


async def test_the_proxy_says_it_too(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        said = await store("GET", "", at="/recon/version", as_=None)
        assert (said.status, json.loads(said.body)) == (200, {"version": SWIFT_VERSION})
        said = await store("GET", "", at="/recon/expirer/object", as_=None)
        assert set(json.loads(said.body)) == {"object_expiration_pass", "expired_last_pass"}
        for path in ("/recon/nothing", "/recon/auditor", "/recon/updater/account"):
            assert (await store("GET", "", at=path, as_=None)).status == 404
