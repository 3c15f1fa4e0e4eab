"""A version from one device to another, as it is."""

from __future__ import annotations

from pileus.drivers.object.cluster.member import Member, Stamp
from pileus.services.object_store.driver import Missing, Superseded, Version, whole_or_nothing


async def push(source: Member, target: Member, key: bytes, known: Stamp | None) -> int:
    """What `source` has of a key, to `target`, which has `known` of it; 1 where it took it. Raises DeviceError."""
    version = await source.find(key)
    if version is None:
        return 0
    try:
        if version.body is not None or version.deleted or (known and known.timestamp == version.timestamp):
            try:
                await target.store(key, version)
                return 1
            except Missing:
                pass  # the data went meanwhile
        await bring(source, target, key, version)
    except Superseded:
        return 0
    return 1


async def bring(source: Member, target: Member, key: bytes, version: Version) -> None:
    """The data of a large version that `source` has. Raises Superseded, DeviceError; Broken where they have rotted.

    They are read against their checksum first: a copy gets a checksum of its own, and would pass for sound.
    """
    await source.check(key)
    async with whole_or_nothing(target.writer(key, version.path)) as writer:
        async for chunk in source.read(key, version, 0, version.size_bytes):
            await writer.write(chunk)
        await writer.finish(version.timestamp, version.metadata, version.changed)
