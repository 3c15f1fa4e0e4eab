"""What tests of images, and of the object store's two APIs, begin with where they want nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import object_store_client, s3_client
from tests.image_cloud import Images, WebServer, image_cloud, web_server
from tests.object_store_client import Store
from tests.s3_client import Rig


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """Swift's API, with the container `c`."""
    async with object_store_client.running(tmp_path) as store:
        assert (await store("PUT", "/c")).status == 201
        yield store


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """S3, with the bucket `pile`."""
    async with s3_client.running(tmp_path) as rig:
        assert (await rig("PUT", "/pile")).status == 200
        yield rig


@pytest.fixture
async def listening(tmp_path: Path) -> AsyncIterator[Rig]:
    """S3 on a socket, for stock clients."""
    async with s3_client.running(tmp_path, listen=True) as rig:
        yield rig


@pytest.fixture
async def images(tmp_path: Path) -> AsyncIterator[Images]:
    async with image_cloud(tmp_path) as cloud:
        yield cloud


@pytest.fixture
async def web() -> AsyncIterator[WebServer]:
    """What images are fetched from."""
    async with web_server() as server:
        yield server
