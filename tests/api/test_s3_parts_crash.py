"""The process is killed between any two steps of what ends objects in parts, or uploads: no part is left that nothing has,
and none is gone that something has."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.sim import MemoryFiles
from pileus.services.object_store.listings import Ask
from pileus.services.object_store.s3 import leavings, multipart, upload_settler
from tests.breaking_device import BreakingDevice
from tests.object_store_client import Answer
from tests.s3_client import Rig, running

pytestmark = pytest.mark.slow
Step = Callable[[Rig], Awaitable[Answer]]
VERSIONS = b"<VersioningConfiguration><Status>%s</Status></VersioningConfiguration>"


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "MIN_PART_BYTES", 1)
    monkeypatch.setattr(upload_settler, "GRACE_SECONDS", -1.0)


async def begin(rig: Rig, *parts: bytes) -> str:
    answer = await rig("POST", "/box/o?uploads")
    upload = re.findall("<UploadId>(.*)</UploadId>", answer.body.decode())[0]
    for number, part in enumerate(parts, 1):
        assert (await rig("PUT", f"/box/o?partNumber={number}&uploadId={upload}", part)).status == 200
    return str(upload)


async def open_uploads(rig: Rig) -> list[str]:
    return re.findall("<UploadId>(.*?)</UploadId>", (await rig("GET", "/box?uploads")).body.decode())


async def complete(rig: Rig, upload: str, numbers: list[int], **headers: str) -> Answer:
    listed = (await rig("GET", f"/box/o?uploadId={upload}")).body.decode()
    etags = re.findall("<PartNumber>(.*?)</PartNumber>.*?<ETag>(.*?)</ETag>", listed)
    chosen = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag.replace('&quot;', '')}</ETag></Part>"
        for number, etag in etags
        if int(number) in numbers
    )
    document = f"<CompleteMultipartUpload>{chosen}</CompleteMultipartUpload>".encode()
    return await rig("POST", f"/box/o?uploadId={upload}", document, **headers)


async def in_parts(rig: Rig, text: bytes = b"ab") -> Answer:
    return await complete(
        rig, await begin(rig, *(bytes([each]) for each in text)), [*range(1, 1 + len(text))]
    )


async def versions_on(rig: Rig) -> Answer:
    return await rig("PUT", "/box?versioning", VERSIONS % b"Enabled")


async def versions_off(rig: Rig) -> Answer:
    return await rig("PUT", "/box?versioning", VERSIONS % b"Suspended")


async def three_parts_open(rig: Rig) -> Answer:
    await begin(rig, b"x", b"y", b"z")
    return Answer(200, {}, b"")


async def complete_two(rig: Rig) -> Answer:
    """One part is not asked for."""
    return await complete(rig, (await open_uploads(rig))[0], [1, 3])


async def complete_on_condition(rig: Rig) -> Answer:
    etag = (await rig("HEAD", "/box/o")).headers["etag"]
    return await complete(rig, (await open_uploads(rig))[0], [1, 3], if_match=etag)


async def abort(rig: Rig) -> Answer:
    return await rig("DELETE", f"/box/o?uploadId={(await open_uploads(rig))[0]}")


async def put(rig: Rig) -> Answer:
    return await rig("PUT", "/box/o", b"whole")


async def delete(rig: Rig) -> Answer:
    return await rig("DELETE", "/box/o")


async def delete_many(rig: Rig) -> Answer:
    answer = await rig("POST", "/box?delete", b"<Delete><Object><Key>o</Key></Object></Delete>")
    return Answer(503 if b"<Error>" in answer.body else answer.status, answer.headers, answer.body)


async def delete_version(rig: Rig) -> Answer:
    listed = (await rig("GET", "/box?versions")).body.decode()
    return await rig("DELETE", f"/box/o?versionId={re.findall('<VersionId>(.*?)</VersionId>', listed)[-1]}")


CASES: dict[str, tuple[list[Step], Step]] = {
    "complete": ([three_parts_open], complete_two),
    "complete on a condition": ([in_parts, three_parts_open], complete_on_condition),
    "complete as a version": ([versions_on, in_parts, three_parts_open], complete_two),
    "complete over null": ([in_parts, versions_on, versions_off, three_parts_open], complete_two),
    "abort": ([three_parts_open], abort),
    "put": ([in_parts], put),
    "put over a moved null": ([in_parts, versions_on, put, versions_off], put),
    "delete": ([in_parts], delete),
    "delete many": ([in_parts], delete_many),
    "delete a version": ([versions_on, in_parts, put], delete_version),
    "delete null": ([in_parts, versions_on, put], delete_version),
    "delete null where it stands": ([in_parts, versions_on], delete_version),
}


class World:
    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    async def parts(self) -> list[str]:
        answer = await self._rig.swift("GET", "/box+segments")
        return [each.rpartition("/")[2] for each in answer.body.decode().split()]

    async def look(self) -> dict[str, Any]:
        """All that clients see, without ids and times; whatever is listed can be read whole."""
        rig = self._rig
        listed = (await rig("GET", "/box?versions")).body.decode()
        bodies = []
        for version in re.findall(
            "<VersionId>(.*?)</VersionId>", re.sub("<DeleteMarker>.*?</DeleteMarker>", "", listed)
        ):
            answer = await rig("GET", f"/box/o?versionId={version}")
            assert answer.status == 200, "what is listed can be read"
            bodies.append(answer.body)
        got = await rig("GET", "/box/o")
        rows = json.loads((await rig.swift("GET", "/box?format=json")).body)
        return {
            "object": (got.status, got.body if got.status == 200 else b""),
            "versions": bodies,
            "list": [(row["name"], row["hash"]) for row in rows],
            "open": len(await open_uploads(rig)),
            "parts": await self.parts(),
        }

    async def queue(self) -> bytes:
        at = leavings.ACCOUNT, leavings.CONTAINER
        return await self._rig.state.listings.list_objects(*at, Ask(), "plain") or b""


@asynccontextmanager
async def broken_off(
    folder: Path, setup: list[Step], last: Step, changes: float
) -> AsyncIterator[tuple[Rig, bool, int, dict[str, Any]]]:
    """The next process; whether the one before broke, the status of the last step, and what was seen before that."""
    files = MemoryFiles()
    device = BreakingDevice(ObjectEngine(files))
    async with running(folder / "one", device=device) as rig:
        assert (await rig("PUT", "/box")).status == 200
        for step in setup:
            assert (await step(rig)).status < 300, step
        before = await World(rig).look()
        device.left = changes
        status = (await last(rig)).status
        device.left = math.inf
        shutil.copytree(folder / "one" / "listings", folder / "two" / "listings")
    async with running(folder / "two", device=ObjectEngine(files)) as rig:
        yield rig, device.has_broken, status, before


async def settle(rig: Rig) -> dict[str, Any]:
    await rig.state.daemons.run_once("version-settler")
    await rig.state.daemons.run_once("upload-settler")
    assert await World(rig).queue() == b""
    return await World(rig).look()


@pytest.mark.parametrize("case", CASES)
async def test_no_part_is_left_and_none_is_missing(case: str, tmp_path: Path) -> None:
    setup, last = CASES[case]
    async with broken_off(tmp_path / "whole", setup, last, math.inf) as (rig, broke, status, before):
        assert not broke
        assert status < 300
        whole = await settle(rig)
        assert whole != before
    for changes in range(40):
        async with broken_off(tmp_path / str(changes), setup, last, changes) as (rig, broke, status, before):
            after = await settle(rig)
            assert after in (before, whole), f"killed after {changes} changes"
            if not broke:
                assert changes > 1
                return
            if status < 300:
                assert after == whole, "it was said to be done"
    raise AssertionError("it never ended")


@pytest.mark.parametrize("setup", [[], [in_parts], [versions_on, in_parts]])
async def test_a_client_that_completes_again_has_its_object(setup: list[Step], tmp_path: Path) -> None:
    """And whoever aborts what is completed takes nothing from it."""
    for changes in range(40):
        upload = ""

        async def complete_it(rig: Rig) -> Answer:
            nonlocal upload
            upload = (await open_uploads(rig))[0]
            return await complete(rig, upload, [1, 2, 3])

        async with broken_off(tmp_path / str(changes), [*setup, three_parts_open], complete_it, changes) as (
            rig,
            broke,
            status,
            _,
        ):
            if status == 200 and not broke:
                return
            is_there = (await rig("GET", "/box/o")).body == b"xyz"
            if is_there and changes % 2:
                await rig("DELETE", f"/box/o?uploadId={upload}")
            document = "".join(
                f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
                for number, etag in [
                    (1, "9dd4e461268c8034f5c8564e155c67a6"),
                    (2, "415290769594460e2e485922904f345d"),
                    (3, "fbade9e36a3f36d3d676c1b808451dd7"),
                ]
            )
            again = await rig(
                "POST",
                f"/box/o?uploadId={upload}",
                f"<CompleteMultipartUpload>{document}</CompleteMultipartUpload>".encode(),
            )
            assert again.status == 200, again.body
            for _ in range(2):
                found = await settle(rig)
                assert found["object"] == (200, b"xyz")
                assert found["open"] == 0
                assert found["versions"].count(b"xyz") == 1
            assert (await rig("DELETE", f"/box/o?uploadId={upload}")).status == 404
            assert (await rig("GET", "/box/o")).body == b"xyz"
    raise AssertionError("it never ended")


async def test_a_part_that_comes_while_its_upload_ends_goes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stored after the abort has looked for parts, and its process dies before it can remove it."""
    device = BreakingDevice(ObjectEngine(MemoryFiles()))
    async with running(tmp_path, device=device) as rig:
        assert (await rig("PUT", "/box")).status == 200
        upload = await begin(rig, b"a")
        put = device.put

        async def put_after_the_abort(*given: Any) -> None:
            monkeypatch.undo()
            monkeypatch.setattr(upload_settler, "GRACE_SECONDS", -1.0)
            assert (await rig("DELETE", f"/box/o?uploadId={upload}")).status == 204
            await put(*given)
            device.left = 0

        monkeypatch.setattr(device, "put", put_after_the_abort)
        assert (await rig("PUT", f"/box/o?partNumber=2&uploadId={upload}", b"b")).status == 503
        device.left = math.inf
        assert await World(rig).parts() == ["00002"]
        assert (await settle(rig))["parts"] == []


async def test_a_bucket_that_was_being_deleted_takes_its_uploads_along(tmp_path: Path) -> None:
    for changes in range(20):
        files = MemoryFiles()
        device = BreakingDevice(ObjectEngine(files))
        folder = tmp_path / str(changes)
        async with running(folder, device=device) as rig:
            assert (await rig("PUT", "/box")).status == 200
            await begin(rig, b"a", b"b")
            await begin(rig, b"c")
            device.left = changes
            await rig("DELETE", "/box")
        async with running(folder, device=ObjectEngine(files)) as rig:
            await settle_uploads(rig)
            gone = (await rig("HEAD", "/box")).status == 404
            if gone:
                assert (await rig.swift("GET", "/box+segments")).status == 404
                assert await rig.state.container(".uploads-AUTH_p1", "box") is None
            else:
                assert len(await open_uploads(rig)) == 2
                assert len(await World(rig).parts()) == 3
        if not device.has_broken:
            assert gone
            return
    raise AssertionError("it never ended")


async def settle_uploads(rig: Rig) -> None:
    for _ in range(2):  # aborting leaves notes of its own
        await rig.state.daemons.run_once("upload-settler")
    assert await World(rig).queue() == b""


async def test_a_manifest_of_any_size_can_be_read_before_it_goes(tmp_path: Path) -> None:
    """One that is a file of its own is not there any more when its parts go."""
    async with running(tmp_path) as rig:
        assert (await rig("PUT", "/box")).status == 200
        upload = await begin(rig)
        name = "/box/o?partNumber={}&uploadId=" + upload
        for number in range(1, 1601):
            assert (await rig("PUT", name.format(number), b"x")).status == 200
        listed = [*range(1, 1601)]
        etag = "9dd4e461268c8034f5c8564e155c67a6"
        chosen = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag></Part>" for n in listed)
        document = f"<CompleteMultipartUpload>{chosen}</CompleteMultipartUpload>".encode()
        answer = await rig("POST", f"/box/o?uploadId={upload}", document)
        assert answer.status == 200, answer.body
        assert (await rig("PUT", "/box/o", b"whole")).status == 200
        assert await World(rig).parts() == []


def test_notes_are_read_as_they_were_written() -> None:
    for path in (("a", "c", "o"), ("a", "c", "o\x01\x01-x/ä"), ("a", "c")):
        note = leavings.Note(leavings.Name(*path), "f" * 32 if len(path) > 2 else "")
        assert leavings.read(note.at.object) == note
        assert note.at.account.startswith(".")
