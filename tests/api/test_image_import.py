"""Staging, importing, stores and tasks."""

from __future__ import annotations

import gzip
import hashlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pileus.services.image.driver import StoreFull
from pileus.testing.service import ADMIN, MEMBER
from pileus.testing.waiting import until
from tests.image_cloud import Images, WebServer, image_cloud

DATA = bytes(range(256)) * 5000


async def staged(images: Images, data: bytes = DATA, **more: Any) -> str:
    image_id = await images.make(**more)
    assert (await images.upload(image_id, data, to="stage")).status == 204
    shown = await images.get(f"/images/{image_id}")
    assert shown["status"] == "uploading"
    return image_id


async def test_glance_direct(images: Images) -> None:
    image_id = await staged(images)
    assert images.files() == {f"stage/{image_id}"}
    reply = await images.import_(image_id, "glance-direct")
    assert reply.status == 202
    task = await images.task(image_id)
    assert task["status"] == "success", task
    assert task["request_id"] == reply.headers["x-openstack-request-id"]
    assert task["input"]["import_req"]["method"] == {"name": "glance-direct"}
    shown = await images.get(f"/images/{image_id}")
    assert shown["status"] == "active"
    assert shown["stores"] == "file"
    assert shown["size"] == len(DATA)
    assert shown["checksum"] == hashlib.md5(DATA).hexdigest()
    assert shown["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    assert shown["os_glance_importing_to_stores"] == ""
    await until(lambda: _only(images, f"first/{image_id}"))
    assert (await images.ask("GET", f"/images/{image_id}/file")).body == DATA
    assert (await images.import_(image_id, "glance-direct")).status == 409


async def _only(images: Images, *files: str) -> bool:
    return images.files() == set(files)


async def test_to_several_stores_and_out_of_one(images: Images) -> None:
    image_id = await staged(images)
    assert (await images.import_(image_id, "glance-direct", stores=["nowhere"])).status == 409
    assert (await images.import_(image_id, "glance-direct", stores=["web"])).status == 409
    assert (await images.import_(image_id, "glance-direct", all_stores=True)).status == 202
    assert (await images.task(image_id))["status"] == "success"
    shown = await images.get(f"/images/{image_id}")
    assert shown["stores"] == "file,second"
    assert [each["metadata"]["store"] for each in shown["locations"]] == ["file", "second"]
    await until(lambda: _only(images, f"first/{image_id}", f"second/{image_id}"))

    assert (await images.ask("DELETE", f"/stores/file/{image_id}")).status == 403
    assert (await images.ask("DELETE", f"/stores/nowhere/{image_id}", as_=ADMIN)).status == 409
    assert (await images.ask("DELETE", f"/stores/web/{image_id}", as_=ADMIN)).status == 404
    reply = await images.ask("DELETE", f"/stores/file/{image_id}", as_=ADMIN)
    assert reply.status == 204, reply.body
    await until(lambda: _only(images, f"second/{image_id}"))
    assert (await images.get(f"/images/{image_id}"))["stores"] == "second"
    assert (await images.ask("DELETE", f"/stores/second/{image_id}", as_=ADMIN)).status == 403
    assert (await images.ask("GET", f"/images/{image_id}/file")).body == DATA

    copied = await images.import_(image_id, "copy-image", stores=["file"])
    assert copied.status == 403  # for administrators
    copied = await images.import_(image_id, "copy-image", stores=["file"], as_=ADMIN)
    assert copied.status == 202
    await until(lambda: _only(images, f"first/{image_id}", f"second/{image_id}"))
    assert (await images.task(image_id))["status"] == "success"
    assert (await images.import_(image_id, "copy-image", stores=["file"], as_=ADMIN)).status == 400
    preferred = await images.ask("GET", f"/images/{image_id}/file?prefer=second")
    assert preferred.body == DATA

    assert (await images.ask("DELETE", f"/images/{image_id}")).status == 204
    await until(images.empty)


async def test_what_is_not_as_said_is_not_imported(images: Images) -> None:
    image_id = await staged(images, disk_format="qcow2")
    assert (await images.import_(image_id, "glance-direct")).status == 202
    task = await images.task(image_id)
    assert task["status"] == "failure"
    assert "does not match its disk_format" in task["message"]
    shown = await images.get(f"/images/{image_id}")
    assert (shown["status"], shown["size"], shown["checksum"]) == ("queued", None, None)
    assert shown["os_glance_failed_import"] == "file"
    await until(images.empty)


@pytest.mark.parametrize("must", [True, False])
async def test_a_store_that_fails(images: Images, must: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(object_id: str, attempt: str) -> Any:
        raise StoreFull("There is no room left.")

    monkeypatch.setattr(images.state.shelves.store("second"), "writer", full)
    image_id = await staged(images)
    reply = await images.import_(image_id, "glance-direct", all_stores=True, all_stores_must_succeed=must)
    assert reply.status == 202
    task = await images.task(image_id)
    shown = await images.get(f"/images/{image_id}")
    assert shown["os_glance_failed_import"] == "second"
    if must:
        assert task["status"] == "failure"
        assert shown["status"] == "queued"
        assert "stores" not in shown
        await until(images.empty)
    else:
        assert task["status"] == "success"
        assert shown["status"] == "active"
        assert shown["stores"] == "file"
        assert "no room" in task["message"]


async def test_web_download(images: Images, web: WebServer) -> None:
    web.pages = {"/there": DATA, "/moved": "/there", "/cut": DATA}
    image_id = await images.make()
    method = {"name": "web-download", "uri": f"{web.url}/moved"}
    assert (await images.import_(image_id, method)).status == 202
    assert (await images.task(image_id))["status"] == "success"
    assert (await images.ask("GET", f"/images/{image_id}/file")).body == DATA
    for path, words in (("/gone", "404"), ("/cut", "ended after|broke off")):
        image_id = await images.make()
        method = {"name": "web-download", "uri": web.url + path}
        assert (await images.import_(image_id, method)).status == 202
        task = await images.task(image_id)
        assert task["status"] == "failure"
        assert any(word in task["message"] for word in words.split("|")), task
        assert (await images.get(f"/images/{image_id}"))["status"] == "queued"
        await until(lambda: _no_stage(images))


async def _no_stage(images: Images) -> bool:
    return not any(name.startswith("stage/") for name in images.files())


async def test_packed_images_are_unpacked_and_bombs_are_not(tmp_path: Path) -> None:
    async with image_cloud(tmp_path, inject_properties={"from": "outside"}) as images:
        image_id = await staged(images, gzip.compress(DATA), container_format="compressed")
        assert (await images.import_(image_id, "glance-direct")).status == 202
        assert (await images.task(image_id))["status"] == "success"
        shown = await images.get(f"/images/{image_id}")
        assert (shown["container_format"], shown["size"], shown["from"]) == ("bare", len(DATA), "outside")
        assert (await images.ask("GET", f"/images/{image_id}/file")).body == DATA
    (tmp_path / "small").mkdir()
    async with image_cloud(tmp_path / "small", max_size_gib=0) as images:
        image_id = await images.make(container_format="compressed")
        assert (await images.upload(image_id, b"x", to="stage")).status == 413


async def test_tasks_are_for_administrators(images: Images, web: WebServer) -> None:
    web.pages = {"/there": DATA}
    properties = {"name": "t", "disk_format": "raw", "container_format": "bare"}
    wanted = {
        "type": "import",
        "input": {
            "import_from": f"{web.url}/there",
            "import_from_format": "raw",
            "image_properties": properties,
        },
    }
    assert (await images.ask("POST", "/tasks", wanted)).status == 403
    assert (await images.ask("GET", "/tasks")).status == 403
    assert (await images.ask("POST", "/tasks", {"type": "export", "input": {}}, as_=ADMIN)).status == 400
    made = await images.ask("POST", "/tasks", wanted, as_=ADMIN)
    assert made.status == 201, made.body

    async def ended() -> Any:
        task = await images.get(f"/tasks/{made.json()['id']}", as_=ADMIN)
        return task if task["status"] == "success" else None

    task = await until(ended)
    assert task["expires_at"]
    image = await images.get(f"/images/{task['result']['image_id']}", as_=ADMIN)
    assert (image["status"], image["name"], image["size"]) == ("active", "t", len(DATA))
    listed = await images.get("/tasks?type=import&status=success", as_=ADMIN)
    assert [each["id"] for each in listed["tasks"]] == [task["id"]]
    assert "input" not in listed["tasks"][0]
    assert listed["schema"] == "/v2/schemas/tasks"


async def test_deleting_ends_an_import(images: Images, web: WebServer) -> None:
    web.pages = {"/there": DATA}
    image_id = await images.make()
    assert (await images.import_(image_id, {"name": "web-download", "uri": f"{web.url}/there"})).status == 202
    assert (await images.ask("DELETE", f"/images/{image_id}", as_=MEMBER)).status == 204
    await until(images.empty)


@pytest.mark.slow
async def test_one_process_carries_an_imports_bytes(tmp_path: Path) -> None:
    """Strands go from process to process; what another has claimed is left to it for as long as it lives."""
    async with image_cloud(tmp_path, upload_lease_seconds=3.0) as images:
        here = images.state
        image_id = await staged(images)
        images.cloud.runtime.state = replace(here, node="elsewhere")
        began = time.monotonic()
        assert (await images.import_(image_id, "glance-direct")).status == 202
        images.cloud.runtime.state = here
        await until(lambda: _processing(images, image_id))
        assert images.files() == {f"stage/{image_id}"}
        assert (await images.task(image_id))["status"] == "success"
        assert time.monotonic() - began >= 3.0
        assert images.files() == {f"first/{image_id}"}


async def _processing(images: Images, image_id: str) -> bool:
    return bool((await images.get(f"/images/{image_id}/tasks"))["tasks"][-1]["status"] == "processing")
