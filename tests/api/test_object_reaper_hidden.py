"""A deleted account goes with its versions, its uploads, its large objects and links: nothing of it is left anywhere."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from pileus.drivers.object.cluster.device import ObjectCluster
from pileus.drivers.object.cluster.local import local_ring
from pileus.drivers.object.cluster.replicator import Replicator
from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.sim import MemoryFiles
from pileus.services.object_store import hidden, reaper, unsettled
from pileus.services.object_store.driver import DeviceError, ObjectDevice, Version
from pileus.services.object_store.listings import Ask
from pileus.services.object_store.s3 import registry
from pileus.services.object_store.settings import Settings
from pileus.testing.clock import FakeClock
from tests.object_store_client import OWNER
from tests.s3_client import Rig, running

ACCOUNT = "AUTH_p1"
RESELLER = replace(OWNER, roles=frozenset({*OWNER.roles, "ResellerAdmin"}))
PART = b"p" * (5 * 1024 * 1024)


class Disks:
    """One, or five in a ring with three replicas; in memory."""

    def __init__(self, many: int, clock: FakeClock) -> None:
        self.files = [MemoryFiles() for _ in range(many)]
        engines = [ObjectEngine(files, suffix_power=12 if many > 1 else None) for files in self.files]
        self.device: ObjectDevice = engines[0]
        self._replicator: Replicator | None = None
        if many > 1:
            members = dict(enumerate(engines))
            cluster = ObjectCluster(local_ring(many, 3), members, clock)
            self._replicator = Replicator(cluster.placement, members, clock, 7 * 24 * 3600.0)
            self._replicator.per_second = math.inf
            self.device = cluster

    def replicates_in(self, rig: Rig) -> bool:
        if self._replicator is not None:
            rig.state.daemons.add(self._replicator)
        return self._replicator is not None

    async def live(self) -> list[str]:
        """What each disk says that it has, after a start."""
        found: list[str] = []

        def told(version: Version) -> None:
            if not version.deleted and version.path in found:
                return
            if version.deleted:
                found[:] = [each for each in found if each != version.path]
            else:
                found.append(version.path)

        left = []
        for files in self.files:
            found.clear()
            engine = ObjectEngine(files)
            await engine.start(told, "")
            await engine.close()
            left += found
        return left


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def upload(rig: Rig, key: str, *, complete: bool) -> None:
    document = ElementTree.fromstring((await rig("POST", f"/bucket/{key}?uploads")).body)
    upload_id = document.findtext("{*}UploadId")
    etags = []
    for number, body in enumerate((PART, b"the rest"), start=1):
        answer = await rig("PUT", f"/bucket/{key}?partNumber={number}&uploadId={upload_id}", body)
        assert answer.status == 200
        etags.append(answer.headers["etag"])
    if complete:
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            for number, etag in enumerate(etags, start=1)
        )
        document_ = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        assert (await rig("POST", f"/bucket/{key}?uploadId={upload_id}", document_)).status == 200


async def fill(rig: Rig) -> None:
    swift = rig.swift

    async def put(path: str, body: bytes = b"", **headers: str) -> None:
        answer = await swift("PUT", path, body, **headers)
        assert answer.status == 201, (path, answer.body)

    await put("/versioned", x_versions_enabled="true")
    for body in (b"one", b"two"):
        await put("/versioned/o", body)
    assert (await swift("DELETE", "/versioned/o")).status == 204
    await put("/versioned/p", b"p" * 300_000)
    for container in ("old", "stack", "plain", "two\nlines\u2028of names"):
        await put("/" + container, **({"x_versions_location": "old"} if container == "stack" else {}))
    for body in (b"one", b"two"):
        await put("/stack/o", body)
    for name in ("segments/1", "segments/2", "with\nnew line", "with\u2028another", "with\x01one"):
        await put(f"/plain/{name}", name.encode())
    await put("/two\nlines\u2028of names/o", b"body")
    await put("/plain/dynamic", x_object_manifest="plain/segments/")
    manifest = json.dumps([{"path": f"/plain/segments/{n}"} for n in (1, 2)]).encode()
    await put("/plain/static?multipart-manifest=put", manifest)
    await put("/plain/link", x_symlink_target="plain/static")
    await put("/plain/expiring", b"later", x_delete_after="86400")
    assert (await rig("PUT", "/bucket")).status == 200
    assert (await rig("PUT", "/bucket/o", b"by S3")).status == 200
    await upload(rig, "done", complete=True)
    await upload(rig, "begun", complete=False)


@pytest.mark.slow
@pytest.mark.parametrize("many", [1, 5])
@pytest.mark.parametrize("encryption", [False, True])
async def test_nothing_is_left_anywhere(
    many: int, encryption: bool, tmp_path: Path, clock: FakeClock
) -> None:
    disks = Disks(many, clock)
    settings = Settings(account_reaper_interval_seconds=1e9, encryption=encryption)
    async with running(tmp_path, clock=clock, settings=settings, device=disks.device) as rig:
        for daemon in rig.state.daemons._daemons.values():
            daemon.per_second = math.inf  # type: ignore[misc]  # time stands still
        await fill(rig)
        assert (await rig.swift("DELETE", "", as_=RESELLER)).status == 204
        await clock.advance(1)
        walk = rig.state.daemons.run_once
        assert (await walk("account-reaper")).counts.get("accounts") == 1
        await walk("version-settler")
        if disks.replicates_in(rig):
            await walk("object-replicator")
        await clock.advance(2 * 86400)
        await walk("object-expirer")
        listings = rig.state.listings
        for account in (ACCOUNT, *(hidden.account(kind, ACCOUNT) for kind in hidden.KINDS)):
            assert await listings.containers_left(account, "", 10) == []
            assert await listings.account(account) is None
        for account in (reaper.ACCOUNT, registry.ACCOUNT):
            assert not await listings.list_containers(account, Ask(), "plain")
        for account, container in ((unsettled.ACCOUNT, unsettled.CONTAINER), (".expiring_objects", "queue")):
            assert await listings.list_objects(account, container, Ask(), "plain") == b""
        # The account is as new: a container that was there is not, and versions begin anew.
        assert (await rig.swift("PUT", "/plain/o", b"body")).status == 404
        assert (await rig.swift("PUT", "/versioned", x_versions_enabled="true")).status == 201
        assert (await rig.swift("GET", "/versioned?versions&format=json")).body == b"[]"
        assert (await rig.swift("DELETE", "/versioned")).status == 204
        assert (await rig("PUT", "/bucket")).status == 200
    assert await disks.live() == []


async def test_the_account_stays_deleted_until_its_hidden_ones_are_empty(
    tmp_path: Path, clock: FakeClock
) -> None:
    settings = Settings(account_reaper_interval_seconds=1e9)
    async with running(tmp_path, clock=clock, settings=settings) as rig:
        rig.state.daemons._daemons["account-reaper"].per_second = math.inf  # type: ignore[misc]  # time stands still
        assert (await rig.swift("PUT", "/v", x_versions_enabled="true")).status == 201
        assert (await rig.swift("PUT", "/v/o", b"body")).status == 201
        assert (await rig.swift("DELETE", "", as_=RESELLER)).status == 204
        await clock.advance(1)
        delete = rig.state.devices[0].delete
        rig.state.devices[0].delete = _failing_for(".versions-", delete)  # type: ignore[method-assign]
        assert "accounts" not in (await rig.state.daemons.run_once("account-reaper")).counts
        assert (await rig.swift("PUT", "/v")).status == 403
        rig.state.devices[0].delete = delete  # type: ignore[method-assign]
        assert (await rig.state.daemons.run_once("account-reaper")).counts["accounts"] == 1
        assert (await rig.swift("PUT", "/v")).status == 201


def _failing_for(start: str, delete: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def failing(key: bytes, path: str, timestamp: object) -> None:
        if path.startswith(start):
            raise DeviceError("the disk is away")
        await delete(key, path, timestamp)

    return failing
