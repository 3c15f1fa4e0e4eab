"""The object store, on this host's folders or on storage nodes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from pileus.app.objects import object_store
from pileus.app.parts import Bench
from pileus.drivers.object.dns import DnsResolver
from pileus.drivers.object.remote import HttpRemote
from pileus.kernel.work import Program
from pileus.services.object_store.container_sync import ContainerSync
from pileus.services.object_store.encryption import encrypted
from pileus.services.object_store.needs import IdentityKeys
from pileus.services.object_store.s3 import daemons as s3_daemons
from pileus.services.object_store.settings import Settings
from pileus.services.object_store.state import ObjectStoreState
from pileus.services.object_store.version_settler import VersionSettler


def _resolver(settings: Settings) -> DnsResolver | None:
    if not (settings.cname_lookup_depth and settings.storage_domains):
        return None
    return DnsResolver(settings.cname_lookup_nameservers)


class Objects:
    def __init__(self, bench: Bench) -> None:
        made = object_store(bench.settings.object_store, bench.state / "object-store", bench.clock)
        disk = encrypted(
            made.devices,
            made.listings,
            bench.state / "object-store" / "encryption-secrets",
            made.settings.encryption_secrets,
            on=made.settings.encryption,
        )
        self._objects = ObjectStoreState(
            *disk,
            made.daemons,
            bench.clock,
            made.settings,
            made.recon,
            made.rings,
            _resolver(made.settings),
        )
        for daemon in s3_daemons(self._objects, bench.clock):
            made.daemons.add(daemon)
        made.daemons.add(VersionSettler(self._objects))
        if made.settings.container_sync.leads_out:
            made.daemons.add(ContainerSync(self._objects, HttpRemote(), bench.settings.base_url))
        bench.runtimes["object-store"].state = bench.runtimes["s3"].state = self._objects
        bench.runtimes["s3"].needs = IdentityKeys(
            bench.peer("identity"), bench.authenticate, bench.revision, bench.clock
        )

    async def start(self, undo: AsyncExitStack) -> None:
        await self._objects.start()
        undo.push_async_callback(self._objects.close)

    def programs(self) -> Sequence[Program]:
        return ()

    async def attach(self, admin_project: str | None) -> None:
        """Nothing is laid."""
