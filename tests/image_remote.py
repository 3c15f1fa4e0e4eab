"""Image stores on an object store of ours, which answers on loopback: through Swift's API, and through S3's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec

from pileus.drivers.image.remote import RemoteStore
from pileus.drivers.image.s3 import S3Store
from pileus.drivers.image.swift import SwiftStore
from pileus.kernel.clock import SystemClock
from pileus.services.image.store_settings import StoreSettings
from pileus.services.object_store.settings import Settings
from pileus.services.object_store.temp_auth import TempAuth, TempAuthSettings, User
from tests.s3_client import KEYS, Rig, running

PASSWORD = "swordfish+/?"
SECRETS = (PASSWORD, KEYS["olga"].secret)
PLACE = "glance"
"""Container and bucket."""


class Objects:
    """The object store behind the image stores, and what it holds."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self._stores: list[RemoteStore] = []

    def settings(self, kind: str, **more: Any) -> StoreSettings:
        base = f"http://127.0.0.1:{self.rig.port}"
        options = {
            "swift": {
                "auth_address": f"{base}/auth/v1.0",
                "auth_version": "1",
                "user": "p1:olga",
                "key": PASSWORD,
            },
            "s3": {"host": base, "access_key": "olga", "secret_key": KEYS["olga"].secret, "bucket": PLACE},
        }
        chunk = {"large_object_chunk_size": 1 if kind == "swift" else 5}
        return msgspec.convert({"type": kind, **options[kind], **chunk, **more}, StoreSettings)

    def store(self, kind: str, name: str = "", **more: Any) -> RemoteStore:
        """As one more process has it."""
        make = {"swift": SwiftStore, "s3": S3Store}[kind]
        store = make(name or kind, self.settings(kind, **more), SystemClock())
        self._stores.append(store)
        return store

    async def held(self, place: str = PLACE) -> list[str]:
        """All that is in a container, segments too, and uploads under way by their keys."""
        listed = await self.rig.swift("GET", f"/{place}?format=json")
        names = (
            [each["name"] for each in msgspec.json.decode(listed.body or b"[]")]
            if listed.status == 200
            else []
        )
        uploads = await self.rig("GET", f"/{place}?uploads")
        if uploads.status == 404:
            return names
        keys = [
            each.text or ""
            for each in ElementTree.fromstring(uploads.body).iter()
            if each.tag.endswith("}Key")
        ]
        return names + [f"upload of {key}" for key in keys]

    def forget_tokens(self) -> None:
        """Those that were given are good for nothing any more."""
        settings = self.rig.state.settings
        roles = settings.operator_roles[0], settings.reseller_admin_role
        self.rig.state.temp_auth = TempAuth(settings.tempauth, SystemClock(), *roles)

    async def close(self) -> None:
        for store in self._stores:
            await store.close()


@asynccontextmanager
async def objects(folder: Path) -> AsyncIterator[Objects]:
    users = {"p1:olga": User(key=PASSWORD, groups=(".admin",))}
    settings = Settings(tempauth=TempAuthSettings(users=users))
    async with running(folder, settings=settings, listen=True) as rig:
        there = Objects(rig)
        try:
            yield there
        finally:
            await there.close()
