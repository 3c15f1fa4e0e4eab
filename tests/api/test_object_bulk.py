"""Archives that become objects, and many deletions in one request."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from typing import Any

import pytest

from pileus.services.object_store.api import bulk_delete, bulk_upload
from tests.object_store_client import NOBODY, OTHER, Store


def archive(files: Mapping[str, bytes], mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]  # mode
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            info.pax_headers = {
                "SCHILY.xattr.user.meta.lunch": "burger",
                "SCHILY.xattr.user.mime_type": "text/x-food",
            }
            tar.addfile(info, io.BytesIO(body))
    return out.getvalue()


def told(answer: Any) -> dict[str, Any]:
    assert answer.status == 200
    found: dict[str, Any] = json.loads(answer.body)
    return found


@pytest.mark.parametrize(("kind", "mode"), [("tar", "w"), ("tar.gz", "w:gz"), ("tar.bz2", "w:bz2")])
async def test_an_archive_becomes_objects(store: Store, kind: str, mode: str) -> None:
    data = archive({"./one/a": b"1", "two/b/c": b"2" * 300_000, "no-container": b"3"}, mode)
    answer = await store("PUT", f"?extract-archive={kind}", data, accept="application/json")
    assert told(answer) == {
        "Number Files Created": 2,
        "Response Status": "201 Created",
        "Response Body": "",
        "Errors": [],
    }
    got = await store("GET", "/two/b/c")
    assert got.body == b"2" * 300_000
    assert (got.headers["x-object-meta-lunch"], got.headers["content-type"]) == ("burger", "text/x-food")
    below = await store("PUT", f"/c/deep/?extract-archive={kind}", data, accept="application/json")
    assert told(below)["Number Files Created"] == 3
    assert (await store("GET", "/c")).body.decode().splitlines() == [
        "deep/no-container",
        "deep/one/a",
        "deep/two/b/c",
    ]


async def test_what_is_wrong_with_an_archive_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(data: bytes, kind: str = "tar", **more: Any) -> dict[str, Any]:
        return told(await store("PUT", f"/c?extract-archive={kind}", data, accept="application/json", **more))

    assert (await ask(b"junk" * 500))["Response Status"] == "400 Bad Request"
    assert (await ask(b"", "zip"))["Response Body"] == "Unsupported archive format"
    assert "No Valid Files" in (await ask(archive({})))["Response Body"]
    cut = await ask(archive({"a": b"x" * 5000})[:3000])
    assert (cut["Response Status"], "cut off" in cut["Response Body"]) == ("400 Bad Request", True)
    assert (await store("GET", "/c/a")).status == 404
    long = await ask(archive({"ok": b"1", "n" * 1100: b"2"}))
    assert (long["Number Files Created"], long["Response Status"]) == (1, "400 Bad Request")
    assert long["Errors"] == [[f"c/{'n' * 1100}", "400 Bad Request"]]
    refused = await ask(archive({"theirs": b"1"}), as_=OTHER)
    assert refused["Errors"] == [["c/theirs", "403 Forbidden"]]
    nobody = await ask(archive({"a": b"1", "b": b"2"}), as_=NOBODY)
    assert (nobody["Response Status"], len(nobody["Errors"])) == ("401 Unauthorized", 1)
    monkeypatch.setattr(bulk_upload, "MAX_FAILURES", 2)
    many = await ask(archive({f"{n}" * 1100: b"" for n in range(5)}))
    assert len(many["Errors"]) == 2
    await store("POST", "/c", x_container_meta_quota_count="1")
    full = await ask(archive({"p": b"1"}))
    assert full["Errors"] == [["c/p", "413 Request Entity Too Large"]]


async def test_many_are_deleted_at_once(store: Store) -> None:
    names = [f"/c/o{n} ä" for n in range(40)]
    for name in names:
        await store("PUT", name, b"x")
    lines = "\n".join(["/c/o%d%%20%%C3%%A4" % n for n in range(40)] + ["", "c/none", "/c", "/none"])  # noqa: UP031
    answer = await store("POST", "?bulk-delete", lines.encode(), accept="application/json")
    assert told(answer) == {
        "Number Deleted": 41,
        "Number Not Found": 2,
        "Response Status": "200 OK",
        "Response Body": "",
        "Errors": [],
    }
    assert (await store("HEAD", "/c")).status == 404


async def test_what_can_not_be_deleted_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await store("PUT", "/c/o", b"x")
    lines = b"/c\n/" + b"n" * 300 + b"/x\n/c/%FF\n/c/none"
    answer = await store("DELETE", "?bulk-delete", lines)
    text = answer.body.decode()
    assert answer.headers["content-type"] == "text/plain"
    assert (
        "Number Deleted: 0\nNumber Not Found: 1\nResponse Body: \nResponse Status: 400 Bad Request\nErrors:"
        in text
    )
    assert "/c, 409 Conflict" in text
    assert "/c/%FF, 412 Precondition Failed" in text
    xml = (await store("POST", "?bulk-delete", lines, accept="application/xml")).body
    assert b"<delete>\n<number_deleted>0</number_deleted>\n" in xml
    theirs = told(await store("POST", "?bulk-delete", b"/c/o", as_=OTHER, accept="application/json"))
    assert theirs["Errors"] == [["/c/o", "403 Forbidden"]]
    assert (await store("GET", "/c/o")).status == 200
    nothing = told(await store("POST", "?bulk-delete", b"", accept="application/json"))
    assert (nothing["Response Status"], nothing["Response Body"]) == (
        "400 Bad Request",
        "Invalid bulk delete.",
    )
    assert (await store("POST", "?bulk-delete", b"", accept="image/png")).status == 406
    monkeypatch.setattr(bulk_delete, "MAX_DELETES", 2)
    many = told(await store("POST", "?bulk-delete", b"/c/o\n" * 3, accept="application/json"))
    assert (many["Response Status"], many["Number Deleted"]) == ("413 Request Entity Too Large", 0)
