"""Bytes up and down: whole or not at all, as said or refused, within limits."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pileus.kernel.api.body_stream import ClientGone
from pileus.services.image.driver import StoreError
from pileus.testing.personas import persona
from pileus.testing.service import ADMIN
from pileus.testing.waiting import until
from tests.image_cloud import Images, WebServer, broken_off, image_cloud

OTHER = persona("project", "member", project_id="0" * 32)
DATA = bytes(range(256)) * 5000


async def test_up_and_down(images: Images) -> None:
    image_id = await images.make()
    assert (await images.ask("GET", f"/images/{image_id}/file")).status == 204
    assert (await images.upload(image_id, DATA, x_image_meta_store="nowhere")).status == 400
    assert (await images.upload(image_id, DATA, x_openstack_image_size="7")).status == 400
    assert not images.files()
    assert (await images.upload(image_id, DATA, x_image_meta_store="second")).status == 204
    shown = await images.get(f"/images/{image_id}")
    assert shown["stores"] == "second"
    assert shown["os_hash_algo"] == "sha512"
    assert shown["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    assert images.files() == {f"second/{image_id}"}
    assert (await images.upload(image_id, DATA)).status == 409
    part = await images.ask("GET", f"/images/{image_id}/file", headers={"range": "bytes=10-19"})
    assert (part.status, part.body) == (206, DATA[10:20])
    whole = await images.ask("GET", f"/images/{image_id}/file")
    assert whole.body == DATA
    assert whole.headers["content-md5"] == hashlib.md5(DATA).hexdigest()
    assert (await images.ask("GET", f"/images/{image_id}/file?prefer=file")).status == 404
    assert (await images.ask("GET", f"/images/{image_id}/file", as_=OTHER)).status == 404


@pytest.mark.parametrize("to", ["file", "stage"])
async def test_broken_off_and_repeated(images: Images, to: str) -> None:
    image_id = await images.make()
    for sent in (b"", DATA[:1], DATA[: 2**20], DATA):
        with pytest.raises(ClientGone):
            await _uploaded(images, image_id, sent, to)
        assert (await images.get(f"/images/{image_id}"))["status"] == "queued"
        assert not images.files()
    assert (await images.upload(image_id, DATA, to=to)).status == 204


async def _uploaded(images: Images, image_id: str, data: bytes, to: str) -> None:
    # The application answers nobody where the client has gone; the tests see that as no answer at all.
    try:
        await images.upload(image_id, broken_off(data), to=to)
    except KeyError as error:
        raise ClientGone from error


def disk(folder: Path, kind: str) -> bytes:
    """A qcow2 disk by itself (`base`), over another (`over`), or with its data elsewhere (`external`)."""
    options = {
        "base": ["1M"],
        "over": ["-F", "qcow2", "-b", str(folder / "base.qcow2")],
        "external": ["-o", f"data_file={folder}/external.raw", "1M"],
    }[kind]
    file = folder / f"{kind}.qcow2"
    size = [options.pop()] if options[-1] == "1M" else []
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, str(file), *size], check=True)
    return file.read_bytes()


DISC = bytes(16 * 2048) + (b"\x01CD001\x01\0" + b"LINUX".ljust(32)).ljust(2048, b"\0") + bytes(4096)
"""The primary descriptor of a volume (ECMA-119), and room for the rest."""
BOOT_SECTOR = bytes(446) + b"\x80\0\2\0\x17\0\0\0" + bytes(56) + b"\x55\xaa"


@pytest.mark.parametrize(
    ("disk_format", "data", "status"),
    [
        ("iso", DISC, 204),
        ("iso", BOOT_SECTOR + DISC[512:], 204),
        ("raw", DISC, 204),
        ("raw", BOOT_SECTOR + DISC[512:], 204),
        ("qcow2", DISC, 415),
        ("ami", DISC, 415),
        ("iso", bytes(len(DISC)), 415),
        ("iso", BOOT_SECTOR + bytes(len(DISC)), 415),
        ("iso", b"QFI\xfb\0\0\0\3".ljust(112, b"\0") + DISC[112:], 415),
    ],
    ids=[
        "disc",
        "hybrid",
        "disc-as-raw",
        "hybrid-as-raw",
        "disc-as-qcow2",
        "disc-as-ami",
        "zeros",
        "disk",
        "two-faces",
    ],
)
async def test_discs(images: Images, disk_format: str, data: bytes, status: int) -> None:
    """As Glance has it: an ISO is an ISO also where a disk's boot sector stands before it, and may be called raw."""
    image_id = await images.make(disk_format=disk_format)
    reply = await images.upload(image_id, data)
    assert reply.status == status, reply.body
    if status == 204:
        assert (await images.get(f"/images/{image_id}"))["virtual_size"] == len(data)


@pytest.mark.host
async def test_unsafe_disks_are_refused(images: Images, tmp_path: Path) -> None:
    base, over, external = disk(tmp_path, "base"), disk(tmp_path, "over"), disk(tmp_path, "external")
    foreign = (
        b'# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\n'
        b'RW 2048 FLAT "/etc/passwd" 0\n'
    )
    before = images.files()
    for kind, data, words in (
        ("qcow2", over, "backing file"),
        ("qcow2", external, "external data file"),
        ("vmdk", foreign, "other files"),
        ("raw", base, "is said to be raw"),
        ("qcow2", b"\0" * 4096, "is said to be qcow2"),
    ):
        image_id = await images.make(disk_format=kind)
        reply = await images.upload(image_id, data)
        assert reply.status == 415
        assert words in reply.json()["message"]
        assert (await images.upload(image_id, data, to="stage")).status == 204
        assert (await images.import_(image_id, "glance-direct")).status == 202
        task = await images.task(image_id)
        assert task["status"] == "failure"
        assert words in task["message"]
        assert images.files() == before
    image_id = await images.make(disk_format="qcow2")
    assert (await images.upload(image_id, base)).status == 204


@pytest.mark.host
async def test_converted_on_import(tmp_path: Path) -> None:
    plain = disk(tmp_path, "base")
    async with image_cloud(tmp_path / "cloud", convert_to="raw") as images:
        image_id = await images.make(disk_format="qcow2")
        assert (await images.upload(image_id, plain, to="stage")).status == 204
        assert (await images.import_(image_id, "glance-direct")).status == 202
        assert (await images.task(image_id))["status"] == "success"
        shown = await images.get(f"/images/{image_id}")
        assert (shown["disk_format"], shown["size"]) == ("raw", 2**20)
        assert images.files() == {f"first/{image_id}"}


async def test_limits(tmp_path: Path) -> None:
    limits = {
        "image_size_total": 2,
        "image_stage_total": 1,
        "image_count_total": 3,
        "image_count_uploading": 1,
    }
    async with image_cloud(tmp_path, **limits) as images:
        first = await images.active(bytes(2**20))
        second = await images.make()
        assert (await images.upload(second, [bytes(2**20), b"x"])).status == 413  # nothing announced
        assert (await images.upload(second, [bytes(2**20), b"x"], to="stage")).status == 413
        assert (await images.upload(second, bytes(2**20), to="stage")).status == 204
        third = await images.make()
        assert (await images.ask("POST", "/images", {})).status == 413
        assert (await images.upload(third, b"x")).status == 413  # one is on its way already
        usage = (await images.get("/info/usage"))["usage"]
        assert usage["image_size_total"] == {"usage": 1, "limit": 2}
        assert usage["image_stage_total"] == {"usage": 1, "limit": 1}
        assert usage["image_count_total"] == {"usage": 3, "limit": 3}
        assert usage["image_count_uploading"] == {"usage": 1, "limit": 1}
        assert (await images.import_(second, "glance-direct", all_stores=True)).status == 413
        assert (await images.import_(second, "glance-direct")).status == 202
        assert (await images.task(second))["status"] == "success"
        assert (await images.upload(third, b"x")).status == 413
        assert (await images.ask("DELETE", f"/images/{first}")).status == 204
        assert (await images.upload(third, b"x")).status == 204
        assert (await images.ask("POST", "/images", {}, as_=OTHER)).status == 201


async def test_cache(images: Images) -> None:
    image_id = await images.active(DATA)
    assert (await images.ask("GET", "/cache")).status == 403
    assert (await images.ask("PUT", f"/cache/{image_id}", as_=ADMIN)).status == 202
    assert (await images.ask("PUT", f"/cache/{image_id}", as_=ADMIN)).status == 202

    async def there() -> Any:
        return (await images.get("/cache", as_=ADMIN))["cached_images"]

    (entry,) = await until(there)
    assert (entry["image_id"], entry["size"], entry["hits"]) == (image_id, len(DATA), 0)
    assert (await images.ask("GET", f"/images/{image_id}/file")).body == DATA
    assert (await there())[0]["hits"] == 1
    assert (await images.get(f"/cache/nodes/{image_id}", as_=ADMIN)) == {"cached_nodes": ["localhost"]}
    pruned = await images.ask("POST", "/cache/prune", as_=ADMIN)
    assert pruned.json() == {"total_files_pruned": 0, "total_bytes_pruned": 0}
    assert (await images.ask("POST", "/cache/clean", as_=ADMIN)).status == 200
    bad = {"x-image-cache-clear-target": "moon"}
    assert (await images.ask("DELETE", "/cache", as_=ADMIN, headers=bad)).status == 400
    assert (await images.ask("DELETE", f"/cache/{image_id}", as_=ADMIN)).status == 204
    assert not await there()
    assert (await images.ask("PUT", f"/cache/{image_id}", as_=ADMIN)).status == 202
    await until(there)
    assert (await images.ask("DELETE", f"/images/{image_id}")).status == 204
    await until(images.empty)
    queued = await images.make()
    assert (await images.ask("PUT", f"/cache/{queued}", as_=ADMIN)).status == 400
    assert (await images.ask("PUT", "/cache/nowhere", as_=ADMIN)).status == 404


async def test_locations(images: Images, web: WebServer) -> None:
    web.pages = {"/there": DATA}
    url = f"{web.url}/there"
    sha256 = hashlib.sha256(DATA).hexdigest()

    async def add(image_id: str, **said: Any) -> int:
        body = {"url": url, "validation_data": said or None}
        return (await images.ask("POST", f"/images/{image_id}/locations", body)).status

    image_id = await images.make()
    for said in (
        {"os_hash_algo": "sha512", "os_hash_value": sha256},
        {"os_hash_value": sha256},
        {"os_hash_algo": "sha123", "os_hash_value": sha256},
    ):
        assert await add(image_id, **said) == 400
    assert await add(image_id, os_hash_algo="sha256", os_hash_value=sha256) == 202
    assert (await images.task(image_id))["status"] == "success"
    shown = await images.get(f"/images/{image_id}")
    assert (shown["status"], shown["os_hash_value"], shown["stores"]) == ("active", sha256, "web")
    assert (await images.ask("GET", f"/images/{image_id}/file")).body == DATA
    part = await images.ask("GET", f"/images/{image_id}/file", headers={"range": "bytes=10-19"})
    assert part.body == DATA[10:20]
    listed = await images.ask("GET", f"/images/{image_id}/locations", as_=ADMIN)
    assert listed.json() == [{"url": url, "metadata": {"store": "web"}}]
    assert (await images.ask("GET", f"/images/{image_id}/locations")).status == 403

    wrong = await images.make()
    assert await add(wrong, os_hash_algo="sha256", os_hash_value="0" * 64) == 202
    assert (await images.task(wrong))["status"] == "failure"
    shown = await images.get(f"/images/{wrong}")
    assert (shown["status"], shown["os_hash_value"]) == ("queued", None)

    web.pages["/there"] = DATA[:-1] + b"?"  # somebody changes it behind our back
    with pytest.raises(StoreError, match="not what it was"):  # on a socket, the answer ends too early
        await images.ask("GET", f"/images/{image_id}/file")


async def test_downloads_are_json_free_of_surprises(images: Images) -> None:
    """Errors of data are in the dialect's words, as all others."""
    reply = await images.upload("0" * 8 + "-0000-0000-0000-" + "0" * 12, b"x")
    assert json.loads(reply.body)["code"] == "404 Not Found"
