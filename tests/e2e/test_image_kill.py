"""The cloud is killed in the middle of uploads: nothing half-visible, no orphan, and the same upload again succeeds."""

from __future__ import annotations

import hashlib
import os
from http.client import HTTPConnection
from pathlib import Path

import pytest
from openstack.connection import Connection

from pileus.testing.cloud import Cloud, running_cloud, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SIZE = 9 * 2**20 + 17
RECOVERED_SECONDS = 60.0
OCTETS = {"Content-Type": "application/octet-stream"}


def files(cloud: Cloud) -> set[str]:
    """All that stores and stage have."""
    return {path.name for path in (cloud.state / "image").rglob("*") if path.is_file()}


def begun(
    cloud: Cloud, admin: Connection, image_id: str, to: str, data: bytes, size: int = SIZE
) -> HTTPConnection:
    """An upload of which so many bytes were sent, and were taken."""
    connection = HTTPConnection("127.0.0.1", cloud.port, timeout=120)
    connection.putrequest("PUT", f"/image/v2/images/{image_id}/{to}")
    for name, value in {**OCTETS, "Content-Length": str(size), "X-Auth-Token": admin.auth_token}.items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(data)
    return connection


@pytest.mark.parametrize("to", ["file", "stage"])
def test_killed_at_any_byte(tmp_path: Path, to: str) -> None:
    data = os.urandom(SIZE)
    with running_cloud(tmp_path, settings={"PILEUS_IMAGE__UPLOAD_LEASE_SECONDS": "3"}) as cloud:
        for sent in (0, 1, 2**20 - 1, 4 * 2**20 + 3, SIZE - 1, SIZE):
            kill_during_upload(cloud, to, data, sent)


def made(admin: Connection) -> str:
    image = admin.image.create_image(name="one", disk_format="raw", container_format="bare")
    return str(image.id)


def kill_during_upload(cloud: Cloud, to: str, data: bytes, sent: int) -> None:
    admin = cloud.connect()
    image_id = made(admin)
    connection = begun(cloud, admin, image_id, to, data[:sent])
    status = "saving" if to == "file" else "uploading"
    if sent < SIZE:
        until(lambda: admin.image.get_image(image_id).status == status, 60, "the upload to begin")
        if sent:
            until(lambda: files(cloud), 60, "its first bytes to be written")
    cloud.kill()
    connection.close()
    cloud.up()
    after = cloud.connect()

    def settled() -> bool:
        """Nothing of it is left; or all of it is there, where all had been sent."""
        found = after.image.get_image(image_id).status
        whole = found in ("active", "uploading") and files(cloud) == {image_id}
        return (found == "queued" and not files(cloud)) or (sent == SIZE and whole)

    until(settled, RECOVERED_SECONDS, f"an upload killed after {sent} bytes to be given up")
    if after.image.get_image(image_id).status == "queued":
        assert begun(cloud, after, image_id, to, data).getresponse().status == 204
    if to == "stage":
        after.image.import_image(after.image.get_image(image_id), method="glance-direct")
    until(lambda: after.image.get_image(image_id).status == "active", 60, "the image")
    assert after.image.get_image(image_id).hash_value == hashlib.sha512(data).hexdigest()
    assert files(cloud) == {image_id}
    after.image.delete_image(image_id)
    until(lambda: not files(cloud), 60, "its data to go")


def test_killed_while_it_imports(tmp_path: Path) -> None:
    """However far it was, the import goes on."""
    data = os.urandom(SIZE)
    settings = {"PILEUS_IMAGE__STORES": "{file = {}, second = {}}"}
    with running_cloud(tmp_path, settings=settings) as cloud:
        for _ in range(3):
            kill_during_import(cloud, data)


def kill_during_import(cloud: Cloud, data: bytes) -> None:
    admin = cloud.connect()
    image_id = made(admin)
    begun(cloud, admin, image_id, "stage", data).getresponse().read()
    admin.image.import_image(admin.image.get_image(image_id), method="glance-direct", all_stores=True)
    cloud.kill()
    cloud.up()
    after = cloud.connect()
    until(lambda: after.image.get_image(image_id).status == "active", 60, "the image")
    until(lambda: not any((cloud.state / "image/stage").iterdir()), 60, "the stage to be empty")
    for store in ("data", "data-second"):
        assert (cloud.state / "image" / store / image_id).read_bytes() == data
    after.image.delete_image(image_id)
    until(lambda: not files(cloud), 60, "its data to go")
