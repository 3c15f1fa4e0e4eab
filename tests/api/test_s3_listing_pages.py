"""Lists of versions and of uploads, page by page: nothing is left out, whatever stands at a page's border."""

from __future__ import annotations

import re

import pytest

from tests.s3_client import Rig, code, element

VERSIONING = b"<VersioningConfiguration><Status>%b</Status></VersioningConfiguration>"
FOUND = re.compile(
    r"<(?:Version|DeleteMarker|Upload)><Key>(.*?)</Key>|<CommonPrefixes><Prefix>(.*?)</Prefix>"
)


async def pages(rig: Rig, what: str, query: str, marker: str) -> list[list[str]]:
    """Keys and folders of each page; `marker` is what the second marker is called."""
    found: list[list[str]] = []
    place = ""
    while len(found) < 50:
        answer = await rig("GET", f"/pile?{what}&{query}{place}")
        found.append([key or folder for key, folder in FOUND.findall(answer.body.decode())])
        if element(answer, "IsTruncated") != "true":
            break
        place = f"&key-marker={element(answer, 'NextKeyMarker')}"
        if second := element(answer, "Next" + marker):
            name = {"VersionIdMarker": "version-id-marker", "UploadIdMarker": "upload-id-marker"}[marker]
            place += f"&{name}={second}"
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 100])
async def test_a_folder_that_is_an_object(rig: Rig, size: int) -> None:
    """`photos/` itself, as programs make it that show folders."""
    await rig("PUT", "/pile?versioning", VERSIONING % b"Enabled")
    for key in ("photos/", "photos/a", "photos/b/c", "photos/b/d", "photos/e", "photos0"):
        for _ in range(2):
            await rig("PUT", f"/pile/{key}", b"x")
        await rig("POST", f"/pile/{key}?uploads")
    in_folder = "prefix=photos/&delimiter=/"
    for query, expected in (
        (in_folder, ["photos/", "photos/a", "photos/b/", "photos/e"]),
        ("delimiter=/", ["photos/", "photos0"]),
        ("prefix=photos/b/", ["photos/b/c", "photos/b/d"]),
    ):
        listed = await pages(rig, "uploads", f"{query}&max-uploads={size}", "UploadIdMarker")
        assert sorted(each for page in listed for each in page) == expected
        listed = await pages(rig, "versions", f"{query}&max-keys={size}", "VersionIdMarker")
        assert sorted({each for page in listed for each in page}) == expected
        assert all(len(page) <= size for page in listed)


@pytest.mark.parametrize("statuses", ["EEEE", "OEEE", "EESE", "EEES"])
async def test_a_bucket_is_emptied_page_by_page(rig: Rig, statuses: str) -> None:
    """What a page ended with is gone when the next one is asked for."""
    for status in statuses:
        if status != "O":
            await rig("PUT", "/pile?versioning", VERSIONING % {"E": b"Enabled", "S": b"Suspended"}[status])
        await rig("PUT", "/pile/o", b"x")
    place = ""
    for _ in range(10):
        answer = await rig("GET", f"/pile?versions&max-keys=1{place}")
        for version in re.findall("<VersionId>(.*?)</VersionId>", answer.body.decode()):
            assert (await rig("DELETE", f"/pile/o?versionId={version}")).status == 204
            place = f"&key-marker=o&version-id-marker={version}"
        if element(answer, "IsTruncated") != "true":
            break
    assert (await rig("DELETE", "/pile")).status == 204


async def test_a_version_that_none_can_be(rig: Rig) -> None:
    answer = await rig("GET", "/pile?versions&key-marker=o&version-id-marker=x")
    assert (answer.status, code(answer)) == (400, "InvalidArgument")
