"""The image service is killed in the middle of uploads to another cloud's object store: no segment, no part is left there,
and the same upload again succeeds. The object store's own end in the middle is 503, and leaves nothing either."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from pileus.testing.cloud import Cloud, running_cloud, until
from tests.e2e.test_image_kill import begun, made

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SIZE = 13 * 2**20 + 17
"""Several segments of a mebibyte, several parts of five."""
PLACE = "images"
RECOVERED_SECONDS = 60.0


class ObjectStore:
    """Of another cloud, as its administrator sees it."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        admin = cloud.connect()
        self.user = f"{admin.current_project.name}:admin"
        url = f"/users/{admin.current_user_id}/credentials/OS-EC2"
        made = admin.identity.post(url, json={"tenant_id": admin.current_project_id}).json()["credential"]
        self.access, self.secret = made["access"], made["secret"]
        self.s3: Any = boto3.client(
            "s3",
            endpoint_url=cloud.base_url,
            aws_access_key_id=self.access,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
        )

    def store(self, kind: str) -> str:
        """Settings of an image store on it."""
        password = (self.cloud.state / "admin-password").read_text().strip()
        options = {
            "swift": {
                "auth_address": f"{self.cloud.base_url}/identity/v3",
                "user": self.user,
                "key": password,
            }
            | {"container": PLACE},
            "s3": {"host": self.cloud.base_url, "access_key": self.access, "secret_key": self.secret}
            | {"bucket": PLACE},
        }[kind]
        chunk = {"swift": 1, "s3": 5}[kind]
        said = ", ".join(f'{name} = "{value}"' for name, value in options.items())
        return f'{{type = "{kind}", large_object_chunk_size = {chunk}, {said}}}'

    def held(self) -> list[str]:
        """All objects, segments too, and uploads under way."""
        try:
            uploads = self.s3.list_multipart_uploads(Bucket=PLACE).get("Uploads", [])
            objects = self.s3.list_objects_v2(Bucket=PLACE).get("Contents", [])
        except ClientError:
            return []  # there is no bucket yet
        return sorted(each["Key"] for each in [*uploads, *objects])


@contextmanager
def both(folder: Path, kind: str) -> Iterator[tuple[Cloud, ObjectStore]]:
    """A cloud whose images go to another's object store."""
    with running_cloud(folder / "objects") as other:
        objects = ObjectStore(other)
        settings = {
            "PILEUS_IMAGE__STORES": f"{{there = {objects.store(kind)}}}",
            "PILEUS_IMAGE__DEFAULT_STORE": "there",
            "PILEUS_IMAGE__UPLOAD_LEASE_SECONDS": "3",
        }
        with running_cloud(folder / "images", settings=settings) as cloud:
            yield cloud, objects


@pytest.mark.parametrize("kind", ["swift", "s3"])
def test_killed_at_any_byte(tmp_path: Path, kind: str) -> None:
    data = os.urandom(SIZE)
    with both(tmp_path, kind) as (cloud, objects):
        for sent in (1, 2**20, 11 * 2**20 + 3, SIZE - 1, SIZE):
            kill_during_upload(cloud, objects, data, sent)


def kill_during_upload(cloud: Cloud, objects: ObjectStore, data: bytes, sent: int) -> None:
    admin = cloud.connect()
    image_id = made(admin)
    connection = begun(cloud, admin, image_id, "file", data[:sent], len(data))
    if sent < SIZE:
        until(lambda: admin.image.get_image(image_id).status == "saving", 60, "the upload to begin")
    if 11 * 2**20 < sent < SIZE:
        until(objects.held, 60, "its first bytes to be there")
    cloud.kill()
    connection.close()
    cloud.up()
    after = cloud.connect()

    def settled() -> bool:
        """Nothing of it is left; or all of it is there, where all had been sent."""
        found = after.image.get_image(image_id).status
        return (found == "queued" and not objects.held()) or (sent == SIZE and found == "active")

    until(settled, RECOVERED_SECONDS, f"an upload killed after {sent} bytes to be given up")
    if after.image.get_image(image_id).status == "queued":
        assert begun(cloud, after, image_id, "file", data, len(data)).getresponse().status == 204
    image = after.image.get_image(image_id)
    assert (image.status, image.hash_value) == ("active", hashlib.sha512(data).hexdigest())
    assert image_id in objects.held()
    after.image.delete_image(image_id)
    until(lambda: not objects.held(), 60, "its data to go")


@pytest.mark.parametrize("kind", ["swift", "s3"])
def test_the_object_store_ends_in_the_middle(tmp_path: Path, kind: str) -> None:
    data = os.urandom(SIZE)
    with both(tmp_path, kind) as (cloud, objects):
        admin = cloud.connect()
        image_id = made(admin)
        connection = begun(cloud, admin, image_id, "file", data[: SIZE - 1], len(data))
        until(objects.held, 60, "its first bytes to be there")
        objects.cloud.kill()
        with suppress(ConnectionError):  # it may be answered already
            connection.send(data[SIZE - 1 :])
        reply = connection.getresponse()
        assert reply.status == 503
        assert b"Store there does not answer" in reply.read()
        # What came is to be taken away before anything else comes.
        assert admin.image.get_image(image_id).status == "saving"
        another = made(admin)
        assert begun(cloud, admin, another, "file", b"little", 6).getresponse().status == 503
        assert admin.image.get_image(another).status in ("queued", "saving")
        objects.cloud.up()
        until(
            lambda: admin.image.get_image(image_id).status == "queued", RECOVERED_SECONDS, "the upload's end"
        )
        assert objects.held() == []
        assert begun(cloud, admin, image_id, "file", data, len(data)).getresponse().status == 204
        admin.image.delete_image(image_id)
        until(lambda: not objects.held(), 60, "its data to go")
