"""The process is killed between any two steps of what writes and removes versions: then either nothing happened, or all.

Before anything is made up for, what a GET gives is the version that lists call the latest, and none that was acknowledged
is gone.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.sim import MemoryFiles
from pileus.services.object_store import unsettled
from pileus.services.object_store.listings import Ask
from tests.breaking_device import BreakingDevice
from tests.s3_client import Rig, running

Steps = list[tuple[Any, ...]]
LARGE = b"L" * 300_000
ON, OFF = (
    ("POST", "/box", b"", {"x_versions_enabled": "true"}),
    ("POST", "/box", b"", {"x_versions_enabled": "false"}),
)


def put(body: bytes, **headers: str) -> tuple[Any, ...]:
    return ("PUT", "/box/o", body, headers)


DELETE = ("DELETE", "/box/o", b"", {})


def by_id(method: str, number: int) -> tuple[Any, ...]:
    """Of the version at a place in the list, newest first."""
    return (method, number, b"", {})


def s3(method: str, body: bytes = b"") -> tuple[Any, ...]:
    return ("S3 " + method, "/box/o", body, {})


CASES: dict[str, tuple[Steps, tuple[Any, ...]]] = {
    "first": ([ON], put(b"one")),
    "second": ([ON, put(b"one")], put(b"two")),
    "large": ([ON, put(b"one")], put(LARGE)),
    "by S3": ([ON, put(b"one")], s3("PUT", b"two")),
    "over null": ([put(b"null"), ON], put(b"one")),
    "over a marker": ([ON, put(b"one"), DELETE], put(b"two")),
    "suspended": ([ON, put(b"one"), OFF], put(b"null")),
    "suspended over null": ([ON, put(b"one"), OFF, put(b"null")], put(b"another")),
    "suspended over a moved null": ([put(b"null"), ON, put(b"one"), OFF], put(b"another")),
    "delete": ([ON, put(b"one"), put(b"two")], DELETE),
    "delete by S3": ([ON, put(b"one"), put(b"two")], s3("DELETE")),
    "delete null": ([put(b"null"), ON], DELETE),
    "delete suspended": ([ON, put(b"one"), OFF, put(b"null")], DELETE),
    "delete suspended, null below": ([put(b"null"), ON, put(b"one"), OFF], DELETE),
    "delete nothing": ([ON], DELETE),
    "delete newest": ([ON, put(b"one"), put(b"two")], by_id("DELETE", 0)),
    "delete older": ([ON, put(b"one"), put(b"two")], by_id("DELETE", 1)),
    "delete only": ([ON, put(b"one")], by_id("DELETE", 0)),
    "delete marker": ([ON, put(b"one"), DELETE], by_id("DELETE", 0)),
    "delete above null": ([put(b"null"), ON, put(b"one")], by_id("DELETE", 0)),
    "delete above a marker": ([ON, put(b"one"), DELETE, put(b"two")], by_id("DELETE", 0)),
    "delete null by id": ([ON, put(b"one"), OFF, put(b"null")], by_id("DELETE", 0)),
    "delete null that is back": ([put(b"null"), ON, put(b"one"), by_id("DELETE", 0)], by_id("DELETE", 0)),
    "post": ([ON, put(b"one")], ("POST", "/box/o", b"", {"x_object_meta_color": "red"})),
    "promote": ([ON, put(b"one"), put(b"two")], by_id("PUT", 1)),
    "over promoted": ([ON, put(b"one"), put(b"two"), by_id("PUT", 1)], put(b"three")),
}


async def do(rig: Rig, step: tuple[Any, ...]) -> int:
    method, path, body, headers = step
    if isinstance(path, int):
        path = f"/box/o?version-id={(await versions(rig))[path]['version_id']}"
    if method.startswith("S3 "):
        return (await rig(method[3:], path, body)).status
    return (await rig.swift(method, path, body, **headers)).status


async def versions(rig: Rig) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads((await rig.swift("GET", "/box?versions&format=json")).body)
    return listed


async def world(rig: Rig) -> dict[str, Any]:
    """All that clients see, without ids and times."""
    listed = []
    for each in await versions(rig):
        answer = await rig.swift("GET", f"/box/o?version-id={each['version_id']}")
        is_marker = "swift_versions_deleted" in each["content_type"]
        assert answer.status == (404 if is_marker else 200), "what is listed can be read"
        assert is_marker or each["bytes"] == len(answer.body)
        listed.append((None if is_marker else answer.body, each["is_latest"], each["version_id"] == "null"))
    got = await rig.swift("GET", "/box/o")
    assert (await rig("GET", "/box/o")).status == got.status, "S3 sees the same"
    assert await s3_versions(rig) == [(each[1], each[0] is None) for each in listed]
    rows = json.loads((await rig.swift("GET", "/box?format=json")).body)
    head = await rig.swift("HEAD", "/box")
    return {
        "versions": listed,
        "object": (got.status, got.body if got.status == 200 else None),
        "color": got.headers.get("x-object-meta-color"),
        "list": [(row["name"], row["bytes"], row["hash"]) for row in rows],
        "bytes": head.headers["x-container-bytes-used"],
        "count": head.headers["x-container-object-count"],
    }


async def s3_versions(rig: Rig) -> list[tuple[bool, bool]]:
    document = ElementTree.fromstring((await rig("GET", "/box?versions")).body)
    return [
        (each.find("{*}IsLatest").text == "true", each.tag.endswith("DeleteMarker"))  # type: ignore[union-attr]  # always there
        for each in document
        if each.tag.endswith(("}Version", "}DeleteMarker"))
    ]


def check_agrees(world: dict[str, Any]) -> None:
    """Lists and GET say the same of what the object is."""
    latest = [body for body, is_latest, _ in world["versions"] if is_latest and body is not None]
    status, body = world["object"]
    assert latest == ([body] if status == 200 else [])


async def crashed(
    folder: Path, setup: Steps, last: tuple[Any, ...], changes: float, look: Callable[[Rig], Awaitable[Any]]
) -> tuple[bool, int, dict[str, Any], Any]:
    """Whether it broke, the status of the last step, what was seen then, and what after a start and a walk."""
    files = MemoryFiles()
    device = BreakingDevice(ObjectEngine(files))
    async with running(folder / "one", device=device) as rig:
        for path in ("/box", "/old"):
            assert (await rig.swift("PUT", path)).status == 201
        for step in setup:
            assert await do(rig, step) < 300, step
        before = await look(rig)
        device.left = changes
        status = await do(rig, last)
        device.left = math.inf
        between = await look(rig)
        shutil.copytree(folder / "one" / "listings", folder / "two" / "listings")
    async with running(folder / "two", device=ObjectEngine(files)) as rig:
        await rig.state.daemons.run_once("version-settler")
        after = await look(rig)
        queue = Ask(), "plain"
        assert await rig.state.listings.list_objects(unsettled.ACCOUNT, unsettled.CONTAINER, *queue) == b""
    return device.has_broken, status, before, (between, after)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
async def test_all_or_nothing(case: str, tmp_path: Path) -> None:
    setup, last = CASES[case]
    broke, status, before, (_, whole) = await crashed(tmp_path / "whole", setup, last, math.inf, world)
    assert not broke
    assert status < 300 or case == "delete nothing"
    check_agrees(whole)
    changes = 0
    while True:
        broke, status, _, (between, after) = await crashed(
            tmp_path / str(changes), setup, last, changes, world
        )
        if not broke:
            assert changes > 0
            break
        assert status == 503
        check_agrees(between)
        check_agrees(after)
        assert after in (before, whole), f"killed after {changes} changes"
        changes += 1
    assert after == whole


async def test_what_broke_off_is_made_up_for_where_it_is_read(tmp_path: Path) -> None:
    device = BreakingDevice(ObjectEngine(MemoryFiles()))
    async with running(tmp_path, device=device) as rig:
        for step in (("PUT", "/box", b"", {"x_versions_enabled": "true"}), put(b"one"), put(b"two")):
            assert await do(rig, step) == 201
        device.left = 1
        assert await do(rig, by_id("DELETE", 0)) == 503
        device.left = math.inf
        assert (await rig.swift("GET", "/box/o")).body == b"one"
        assert [each["is_latest"] for each in await versions(rig)] == [True]


# The older way: copies in another container.

STACK = ("POST", "/box", b"", {"x_versions_location": "old"})
HISTORY = ("POST", "/box", b"", {"x_history_location": "old"})


async def popped(rig: Rig) -> list[bytes]:
    """What a GET gives before each of so many deletions as there is anything."""
    found = []
    while (got := await rig.swift("GET", "/box/o")).status == 200:
        found.append(got.body)
        assert (await rig.swift("DELETE", "/box/o")).status == 204
        assert len(found) < 10
    assert (await rig.swift("GET", "/old")).body == b"", "nothing is left behind"
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setup", "last", "expected"),
    [
        ([put(b"one"), put(b"two")], put(b"three"), {b"three two one", b"two one"}),
        ([put(b"one"), put(b"two"), put(b"three")], DELETE, {b"three two one", b"two one"}),
        ([put(b"one"), put(b"two"), put(b"three"), DELETE], DELETE, {b"two one", b"one"}),
        ([put(b"one"), put(b"two"), put(b"three"), DELETE], put(b"four"), {b"two one", b"four two one"}),
        ([put(b"one")], DELETE, {b"one", b""}),
    ],
)
async def test_a_stack_gives_each_version_back_once(
    setup: Steps, last: tuple[Any, ...], expected: set[bytes], tmp_path: Path
) -> None:
    for changes in range(9):
        files = MemoryFiles()
        device = BreakingDevice(ObjectEngine(files))
        folder = tmp_path / str(changes)
        async with running(folder, device=device) as rig:
            for path in ("/box", "/old"):
                assert (await rig.swift("PUT", path)).status == 201
            for step in (STACK, *setup):
                assert await do(rig, step) < 300, step
            device.left = changes
            status = await do(rig, last)
            device.left = math.inf
        async with running(folder, device=ObjectEngine(files)) as rig:
            assert b" ".join(await popped(rig)) in expected, f"killed after {changes} changes"
        if not device.has_broken:
            assert status < 300
            return
    raise AssertionError("it never ended")


@pytest.mark.slow
@pytest.mark.parametrize("last", [DELETE, put(b"three")])
async def test_a_history_tells_each_thing_once(last: tuple[Any, ...], tmp_path: Path) -> None:
    """An attempt that broke off, and the next one, which does not: as if there had been one."""

    async def history(rig: Rig) -> list[tuple[bytes, bool]]:
        rows = json.loads((await rig.swift("GET", "/old?format=json")).body)
        found = []
        for row in rows:
            found.append(
                (
                    (await rig.swift("GET", f"/old/{row['name']}")).body,
                    "swift_versions" in row["content_type"],
                )
            )
        return found

    expected = [(b"one", False), (b"two", False)] + [(b"", True)] * (last == DELETE)
    for changes in range(9):
        files = MemoryFiles()
        device = BreakingDevice(ObjectEngine(files))
        folder = tmp_path / str(changes)
        async with running(folder, device=device) as rig:
            for path in ("/box", "/old"):
                assert (await rig.swift("PUT", path)).status == 201
            for step in (HISTORY, put(b"one"), put(b"two")):
                assert await do(rig, step) < 300
            device.left = changes
            await do(rig, last)
            device.left = math.inf
        async with running(folder, device=ObjectEngine(files)) as rig:
            if device.has_broken:
                assert (await rig.swift("GET", "/box/o")).body == b"two"
                assert await do(rig, last) < 300
            assert await history(rig) == expected
        if not device.has_broken:
            return
    raise AssertionError("it never ended")
