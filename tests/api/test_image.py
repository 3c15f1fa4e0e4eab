"""Images through their API: records, data, stores, imports, tasks."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pileus.drivers.image.fetch import HttpFetcher
from pileus.drivers.image.file import FileStore
from pileus.drivers.image.http import HttpStore
from pileus.kernel.context import Context
from pileus.kernel.http.caller import PeerReply
from pileus.lib.address_guard import Guard
from pileus.services.image import service
from pileus.services.image.shelves import Shelf, Shelves
from pileus.services.image.state import ImageState, Settings
from pileus.services.image.work import programs
from pileus.testing.personas import persona
from pileus.testing.service import ADMIN, MEMBER, ServiceUnderTest, serving
from pileus.testing.until import eventually

OCTETS = {"content-type": "application/octet-stream"}
PATCH = {"content-type": "application/openstack-images-v2.1-json-patch"}
OTHER = persona("project", "member", project_id="0" * 32)
READER = persona("project", "reader")
RAW = {"name": "one", "disk_format": "raw", "container_format": "bare"}


class Images(ServiceUnderTest):
    """The service, spoken to in the words of images."""

    async def made(self, as_: Context = MEMBER, **more: Any) -> dict[str, Any]:
        reply = await self.post("/image/v2/images", {**RAW, **more}, as_=as_)
        assert reply.status == 201, reply.body
        return dict(reply.json())

    async def put_bytes(self, path: str, data: bytes, as_: Context = MEMBER, **headers: str) -> PeerReply:
        raise NotImplementedError
