"""Volumes that are mostly waste are copied together, and the disk gets their room back."""

from __future__ import annotations

import asyncio

import structlog

from pileus.drivers.object.group import Group
from pileus.drivers.object.record import Kind
from pileus.drivers.object.volume import Entry, Volume
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError

log = structlog.get_logger("pileus.object_store")
WASTE = 0.5
"""Volumes of which more than this part is of no use any more are cleared."""
COPIES = 64
"""Records copied with one sync."""


async def compact(group: Group, forget_before: Timestamp) -> int:
    """Copies what is alive out of wasted volumes, then frees them; returns bytes freed."""
    freed = 0
    for number in sorted(group.volumes):
        volume = group.volumes[number]
        if not volume.sealed:
            continue
        entries = await asyncio.to_thread(_listed, volume)
        alive = [entry for entry in entries if group.is_newest(entry)]
        # A deletion may be forgotten only where no older volume can still hold what it deleted.
        may_forget = number == min(group.volumes)
        kept = [entry for entry in alive if not (may_forget and _may_go(entry, forget_before))]
        if sum(entry.place.length for entry in kept) > volume.end * (1 - WASTE):
            continue
        try:
            await _copy(group, volume, kept)
        except DeviceError as error:
            log.error("a volume can't be cleared", folder=group.folder, volume=number, error=str(error))
            continue
        for entry in alive:
            group.forget(entry)
        if volume.live_bytes:
            # The newest of a key is rotten, so that no list has it. Until it is replaced it has to be found to be rotten.
            continue
        del group.volumes[number]
        await asyncio.to_thread(volume.remove)
        freed += volume.end
    return freed


async def _copy(group: Group, volume: Volume, entries: list[Entry]) -> None:
    """All durable elsewhere when this returns, except what was replaced meanwhile."""
    for start in range(0, len(entries), COPIES):
        copies = []
        for entry in entries[start : start + COPIES]:
            record = await asyncio.to_thread(group.read, volume, entry.place)
            # A copy that came behind a deletion could outlive it on the disk.
            while (change := group.under_way.get(entry.key)) is not None:
                await asyncio.wait((change,))
            if group.is_newest(entry):
                copies.append(group.append(record, replaces=group.index.get(entry.key)))
        await asyncio.gather(*copies)


def _may_go(entry: Entry, forget_before: Timestamp) -> bool:
    return entry.kind is Kind.DROPPED or (entry.kind is Kind.DELETED and entry.order[0] < forget_before)


def _listed(volume: Volume) -> list[Entry]:
    return list(volume.entries())
